// SPDX-License-Identifier: Apache-2.0
// requantize IN.gguf OUT.gguf q8_0|bf16: every matrix of IN in another format, made by llama.cpp itself.
#include <cstdio>
#include <cstring>

#include "llama.h"

static void onlyErrors(ggml_log_level level, const char* text, void*) {
  if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
}

int main(int argc, char** argv) {
  if (argc != 4) return std::fputs("usage: requantize IN.gguf OUT.gguf q8_0|bf16\n", stderr), 2;
  llama_log_set(onlyErrors, nullptr);
  llama_backend_init();
  llama_model_quantize_params params = llama_model_quantize_default_params();
  if (std::strcmp(argv[3], "q8_0") == 0) params.ftype = LLAMA_FTYPE_MOSTLY_Q8_0;
  else if (std::strcmp(argv[3], "bf16") == 0) params.ftype = LLAMA_FTYPE_MOSTLY_BF16;
  else return std::fprintf(stderr, "%s: neither q8_0 nor bf16\n", argv[3]), 2;
  params.nthread = 2;
  params.allow_requantize = true;
  params.pure = true; // the embedding too, which is the head of these models
  return llama_model_quantize(argv[1], argv[2], &params) == 0 ? 0 : 1;
}
