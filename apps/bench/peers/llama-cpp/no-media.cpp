// SPDX-License-Identifier: Apache-2.0
// llama-server without llama.cpp's library for pictures and sound (tools/mtmd), which nothing here asks for and which takes
// longer to compile than all the rest. What every start calls does nothing; the other functions are reached only with --mmproj.
#include <cstdio>
#include <cstdlib>

#include "mtmd-helper.h"
#include "mtmd.h"

mtmd_helper_init_opt mtmd_helper_init_opt_default() { return {}; }
void mtmd_helper_log_set(ggml_log_callback, void*) {}
mtmd_context_params mtmd_context_params_default() { return {}; }
void mtmd_free(mtmd_context*) {}

extern "C" [[noreturn]] __attribute__((used)) void no_media() {
  std::fputs("this llama-server was built without pictures and sound\n", stderr);
  std::abort();
}

// In assembler, because their types do not matter.
#define ABSENT(name) asm(".globl " #name "\n" #name ": jmp no_media\n");

ABSENT(mtmd_batch_add_chunk)
ABSENT(mtmd_batch_encode)
ABSENT(mtmd_batch_free)
ABSENT(mtmd_batch_get_output_embd)
ABSENT(mtmd_batch_init)
ABSENT(mtmd_bitmap_free)
ABSENT(mtmd_get_cap_from_file)
ABSENT(mtmd_helper_bitmap_init_from_buf)
ABSENT(mtmd_helper_decode_image_chunk)
ABSENT(mtmd_helper_support_video)
ABSENT(mtmd_helper_video_free)
ABSENT(mtmd_init_from_file)
ABSENT(mtmd_input_chunk_copy)
ABSENT(mtmd_input_chunk_free)
ABSENT(mtmd_input_chunk_get_id)
ABSENT(mtmd_input_chunk_get_n_pos)
ABSENT(mtmd_input_chunk_get_n_tokens)
ABSENT(mtmd_input_chunk_get_placeholder)
ABSENT(mtmd_input_chunk_get_tokens_text)
ABSENT(mtmd_input_chunk_get_type)
ABSENT(mtmd_input_chunk_load)
ABSENT(mtmd_input_chunk_save)
ABSENT(mtmd_input_chunks_free)
ABSENT(mtmd_input_chunks_get)
ABSENT(mtmd_input_chunks_init)
ABSENT(mtmd_input_chunks_size)
ABSENT(mtmd_support_audio)
ABSENT(mtmd_support_vision)
ABSENT(mtmd_tokenize)
ABSENT(_Z21mtmd_get_memory_usagePKc19mtmd_context_params) // the one function of C++
