// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <stdexcept>
#include <string>

namespace dyn {

// An error with one of the codes of packages/common/src/error-codes.ts.
struct NativeError : std::runtime_error {
  std::string code;
  NativeError(std::string errorCode, const std::string& message) : std::runtime_error(message), code(std::move(errorCode)) {}
};

} // namespace dyn
