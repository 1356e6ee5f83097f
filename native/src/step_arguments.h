// SPDX-License-Identifier: Apache-2.0
// A step as JavaScript asks for it: refused when anything in it would read or write where it must not.
#pragma once
#include <algorithm>

#include "arguments.h"

namespace dyn {

// Of one sequence: slot, position, tokens, blocks, output, drafts, targets, top, adapter.
constexpr size_t kHeaderFields = 9;

inline std::shared_ptr<const Adapter> adapterOf(Napi::Env env, const Engine& e, uint32_t id) {
  if (id == 0) return nullptr;
  const auto found = e.adapters().find(id);
  if (found == e.adapters().end()) refuse(env, "adapter " + std::to_string(id) + " is not loaded");
  return found->second;
}

// Adds what `header` says of each sequence to a step that has its tokens, blocks, targets and passes.
inline void addShares(Napi::Env env, Engine& e, const Napi::Uint32Array& header, Step& step) {
  const EngineOptions& options = e.options();
  if (header.ElementLength() == 0 || header.ElementLength() % kHeaderFields != 0) refuse(env, "a step needs at least one sequence");
  if (step.tokens.size() > size_t(options.maxRows)) refuse(env, "a step has " + std::to_string(step.tokens.size()) + " rows; the limit is " + std::to_string(options.maxRows));
  size_t row = 0, block = 0, target = 0, allDrafts = 0;
  std::vector<bool> used(size_t(options.maxSequences));
  for (size_t i = 0; i < header.ElementLength(); i += kHeaderFields) {
    const uint32_t slot = header[i], position = header[i + 1], count = header[i + 2], blockCount = header[i + 3], output = header[i + 4], drafts = header[i + 5], targets = header[i + 6], top = header[i + 7], adapter = header[i + 8];
    const std::string who = "sequence in slot " + std::to_string(slot);
    if (slot >= uint32_t(options.maxSequences) || used[slot]) refuse(env, who + ": no such slot, or twice in a step");
    used[slot] = true;
    if (count == 0 || count > step.tokens.size() - row || blockCount > step.blocks.size() - block || output > 3) refuse(env, who + ": malformed share");
    const uint64_t end = uint64_t(position) + count + uint64_t(step.passes - 1);
    if (end > uint64_t(options.spec.contextLength)) refuse(env, who + ": positions exceed the context");
    if (uint64_t(blockCount) * kKvBlock < end) refuse(env, who + ": blocks do not cover its positions");
    if (step.passes > 1 && (count != 1 || output != Share::Sample || targets > 0)) refuse(env, who + ": several passes are for single tokens, and sampled after");
    if (drafts > 0 && (output != Share::Sample || drafts >= count)) refuse(env, who + ": guesses must follow a token, and be sampled after");
    if ((allDrafts += drafts) > size_t(options.maxDrafts)) refuse(env, "a step has more than " + std::to_string(options.maxDrafts) + " guesses");
    if (targets > count || targets > step.targets.size() - target || top > 20) refuse(env, who + ": more targets than tokens, or more than 20 alternatives");
    if (output == Share::Sample && !e.slotOpen(int(slot))) refuse(env, who + ": the slot is not open");
    step.shares.push_back({int(slot), int(position), int(row), int(count), block, blockCount, Share::Output(output), int(drafts), target, int(targets), int(top), adapterOf(env, e, adapter)});
    row += count;
    block += blockCount;
    target += targets;
  }
  if (row != step.tokens.size() || block != step.blocks.size() || target != step.targets.size()) refuse(env, "tokens, blocks or targets do not belong to any sequence");
  for (const std::vector<uint32_t>* ids : {&step.tokens, &step.targets})
    for (uint32_t token : *ids)
      if (token >= uint32_t(options.spec.vocabSize)) refuse(env, "token id " + std::to_string(token) + " is not in the vocabulary");
  for (uint32_t id : step.blocks)
    if (id >= uint32_t(options.numBlocks)) refuse(env, "KV block " + std::to_string(id) + " does not exist");
}

} // namespace dyn
