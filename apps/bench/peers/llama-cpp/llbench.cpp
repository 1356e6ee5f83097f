// SPDX-License-Identifier: Apache-2.0
// Benchmark driver over libllama (C API). Two ways to run it:
//   1. one shot:  llbench --model F [--threads 2] [--pp 128,512,2048] [--batch 1,4,8,16] [--ctx 16,512,2048] [--steps 32] [--reps 3]
//   2. --serve :  one JSON request per line on stdin, one JSON answer per line on stdout (compare.mjs drives several engines this way,
//                 interleaved in one run). Requests: {"op":"info"} {"op":"pp","n":512} {"op":"dec","batch":8,"ctx":512,"steps":32} {"op":"quit"}
//                 Answers to pp/dec carry {"ms":wall,"tokens":count}. What is timed: pp = n tokens in one sequence, cache empty before, last-row logits
//                 available at the end. dec = `steps` steps of `batch` sequences that already hold ctx tokens each, logits of every row available
//                 after every step, no sampling (the next token is fixed). Filling the caches and one warm-up step are not timed.
// Options: --fa auto|0|1   --ubatch 512   --kv f16|f32|bf16|q8_0   --no-extra (no AMX/repack buffers)   --no-mmap   --unified
//          --lib DIR (where libggml-cpu-*.so are; default: the directory of libllama)   --backend FILE (force one CPU variant)
#include "llama.h"
#include "ggml-backend.h"
#include "nlohmann/json.hpp"
#include <dlfcn.h>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <string>
#include <vector>
using json = nlohmann::ordered_json;
static double now() { return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count(); }
static std::vector<int> ints(const std::string& s) { std::vector<int> v; size_t p = 0; while (p < s.size()) { size_t q = s.find(',', p); if (q == s.npos) q = s.size(); v.push_back(std::stoi(s.substr(p, q - p))); p = q + 1; } return v; }
static long statusKb(const char* key) { std::ifstream f("/proc/self/status"); std::string k; while (std::getline(f, k)) if (k.rfind(key, 0) == 0) return std::stol(k.substr(k.find(':') + 1)); return 0; }
static std::string loadavg() { std::ifstream f("/proc/loadavg"); std::string a; f >> a; return a; }
static std::vector<std::string> g_buf; // "AMX model buffer size = ..." lines
static void logcb(ggml_log_level lv, const char* t, void* ud) { std::string s(t); if (s.find("buffer size") != s.npos) { while (!s.empty() && (s.back() == '\n' || s.back() == ' ')) s.pop_back(); g_buf.push_back(s.substr(s.find(':') == s.npos ? 0 : s.find(':') + 1)); } if (ud || lv == GGML_LOG_LEVEL_ERROR) fputs(t, stderr); }

static std::map<std::string, std::string> opt;
static std::string get(const std::string& k, const std::string& d) { auto i = opt.find(k); return i == opt.end() ? d : i->second; }
static llama_model* model; static llama_context* ctx; static int ctxSeqs = 0, ctxLen = 0; static int filledSeqs = 0, filledCtx = -1;
static llama_token tok(long i) { return (llama_token)(1000 + (i * 7919 + 13) % 40000); } // ordinary token ids, same every run

static void makeCtx(int seqs, int len) {
  if (ctx && ctxSeqs == seqs && ctxLen >= len) return;
  if (ctx) llama_free(ctx);
  auto p = llama_context_default_params(); int thr = std::stoi(get("threads", "2"));
  int per = (len + 255) / 256 * 256;
  p.n_ctx = (uint32_t)per * seqs; p.n_seq_max = seqs; p.n_batch = std::max(2048, len); p.n_ubatch = std::stoi(get("ubatch", "512")); p.n_threads = p.n_threads_batch = thr; p.kv_unified = opt.count("unified"); p.no_perf = true;
  std::string fa = get("fa", "auto"); p.flash_attn_type = fa == "1" ? LLAMA_FLASH_ATTN_TYPE_ENABLED : fa == "0" ? LLAMA_FLASH_ATTN_TYPE_DISABLED : LLAMA_FLASH_ATTN_TYPE_AUTO;
  std::string kv = get("kv", "f16"); ggml_type t = kv == "f32" ? GGML_TYPE_F32 : kv == "bf16" ? GGML_TYPE_BF16 : kv == "q8_0" ? GGML_TYPE_Q8_0 : GGML_TYPE_F16; p.type_k = p.type_v = t;
  ctx = llama_init_from_model(model, p); if (!ctx) { fprintf(stderr, "no context\n"); exit(3); }
  ctxSeqs = seqs; ctxLen = per; filledSeqs = 0; filledCtx = -1;
}
static void addTok(llama_batch& b, llama_token t, int pos, int seq, bool logits) { int i = b.n_tokens++; b.token[i] = t; b.pos[i] = pos; b.n_seq_id[i] = 1; b.seq_id[i][0] = seq; b.logits[i] = logits; }
static void dec(llama_batch& b) { int rc = llama_decode(ctx, b); if (rc) { fprintf(stderr, "llama_decode rc %d\n", rc); exit(4); } llama_synchronize(ctx); }
static void feed(int seq, int n) { llama_batch b = llama_batch_init(std::max(1, n), 0, 1); for (int i = 0; i < n; i++) addTok(b, tok(i), i, seq, i == n - 1); dec(b); llama_batch_free(b); }

static json runPp(int n) {
  makeCtx(1, std::max(n, 2304)); auto mem = llama_get_memory(ctx); llama_memory_clear(mem, true); filledSeqs = 0; filledCtx = -1;
  double t = now(); feed(0, n); volatile float x = llama_get_logits_ith(ctx, -1)[0]; (void)x; double ms = now() - t;
  llama_memory_clear(mem, true); return {{"op", "pp"}, {"n", n}, {"ms", ms}, {"tokens", n}};
}
static json runDec(int batch, int len, int steps) {
  makeCtx(batch, std::max(len + steps + 2, 2304)); auto mem = llama_get_memory(ctx);
  if (filledSeqs != batch || filledCtx != len) { llama_memory_clear(mem, true); feed(0, len); for (int s = 1; s < batch; s++) llama_memory_seq_cp(mem, 0, s, -1, -1); filledSeqs = batch; filledCtx = len; }
  llama_batch b = llama_batch_init(batch, 0, 1); double t = 0;
  for (int st = -1; st < steps; st++) {
    if (st == 0) t = now();
    b.n_tokens = 0; for (int s = 0; s < batch; s++) addTok(b, tok(len + st + 1 + s * 31), len + st + 1, s, true);
    dec(b); volatile float x = 0; for (int s = 0; s < batch; s++) x = x + llama_get_logits_ith(ctx, s)[0];
  }
  double ms = now() - t; llama_batch_free(b);
  for (int s = 0; s < batch; s++) llama_memory_seq_rm(mem, s, len, -1);
  return {{"op", "dec"}, {"batch", batch}, {"ctx", len}, {"steps", steps}, {"ms", ms}, {"tokens", batch * steps}};
}
int main(int argc, char** argv) {
  for (int i = 1; i < argc; i++) { std::string a = argv[i]; if (a.rfind("--", 0)) continue; a = a.substr(2); if (i + 1 < argc && strncmp(argv[i + 1], "--", 2)) opt[a] = argv[++i]; else opt[a] = ""; }
  if (!opt.count("model")) { fprintf(stderr, "--model FILE.gguf is needed\n"); return 2; }
  llama_log_set(logcb, opt.count("verbose") ? (void*)1 : nullptr);
  std::string lib = get("lib", ""); if (lib.empty()) { Dl_info di; dladdr((void*)llama_version, &di); lib = di.dli_fname; lib = lib.substr(0, lib.rfind('/')); }
  if (opt.count("backend")) ggml_backend_load(opt["backend"].c_str()); else ggml_backend_load_all_from_path(lib.c_str());
  llama_backend_init();
  auto mp = llama_model_default_params(); mp.use_extra_bufts = !opt.count("no-extra"); if (opt.count("no-mmap")) mp.load_mode = LLAMA_LOAD_MODE_NONE;
  double t0 = now(); model = llama_model_load_from_file(opt["model"].c_str(), mp); if (!model) return 3; double loadMs = now() - t0;
  t0 = now(); makeCtx(1, 2304); double ctxMs = now() - t0; t0 = now(); feed(0, 1); double firstMs = now() - t0;
  std::set<std::string> cpu; { std::ifstream f("/proc/self/maps"); std::string l; while (std::getline(f, l)) { size_t p = l.find("libggml-cpu"); if (p != l.npos) cpu.insert(l.substr(p)); } }
  char desc[128]; llama_model_desc(model, desc, sizeof desc);
  std::vector<std::string> bufs; for (auto& s : g_buf) if (s.find("model buffer") != s.npos) bufs.push_back(s.substr(s.find_first_not_of(' ')));
  auto info = [&] { return json{{"op", "info"}, {"engine", "llama.cpp"}, {"version", llama_version()}, {"cpu_backend", cpu.empty() ? "" : *cpu.begin()}, {"model", desc}, {"model_bytes", llama_model_size(model)}, {"buffers", bufs},
    {"threads", std::stoi(get("threads", "2"))}, {"fa", get("fa", "auto")}, {"kv", get("kv", "f16")}, {"ubatch", std::stoi(get("ubatch", "512"))}, {"extra_buffers", !opt.count("no-extra")}, {"load_ms", loadMs}, {"context_ms", ctxMs}, {"first_token_ms", firstMs},
    {"rss_kb", statusKb("VmRSS")}, {"rss_anon_kb", statusKb("RssAnon")}, {"peak_rss_kb", statusKb("VmHWM")}, {"loadavg", loadavg()}}; };
  if (opt.count("serve")) {
    std::string l; while (std::getline(std::cin, l)) { if (l.empty()) continue; json q = json::parse(l), a; std::string op = q["op"];
      if (op == "quit") break; else if (op == "info") a = info(); else if (op == "pp") a = runPp(q["n"]); else if (op == "dec") a = runDec(q["batch"], q["ctx"], q.value("steps", 32)); else a = {{"error", "unknown op"}};
      std::cout << a.dump() << std::endl; }
  } else {
    std::cout << info().dump() << std::endl; int reps = std::stoi(get("reps", "3")), steps = std::stoi(get("steps", "32"));
    auto rep = [&](auto f) { std::vector<double> v; json a; for (int r = 0; r < reps; r++) { a = f(); v.push_back(a["tokens"].get<double>() / a["ms"].get<double>() * 1000); } std::sort(v.begin(), v.end()); a.erase("ms"); a.erase("tokens");
      a["tok_s"] = v[v.size() / 2]; a["min"] = v.front(); a["max"] = v.back(); a["loadavg"] = loadavg(); std::cout << a.dump() << std::endl; };
    for (int n : ints(get("pp", "128,512,2048"))) rep([&] { return runPp(n); });
    for (int b : ints(get("batch", "1,4,8,16"))) for (int c : ints(get("ctx", "16,512,2048"))) rep([&] { return runDec(b, c, steps); });
    std::cout << info().dump() << std::endl;
  }
  llama_free(ctx); llama_model_free(model);
}
