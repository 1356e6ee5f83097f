// SPDX-License-Identifier: Apache-2.0
#include "model.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "kernels/quantise.h"
#include "native_error.h"

namespace dyn {
namespace {

constexpr size_t kReadBytes = size_t(4) << 20; // of a tensor that one thread reads at once

// A checkpoint file, open for the time of loading. It is read, not mapped: somebody may truncate it meanwhile, and what
// is then missing is an error here, where a mapping would end the process (SIGBUS).
class CheckpointFile {
public:
  explicit CheckpointFile(const std::string& path) : path_(path), fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    struct stat info;
    if (fd_ < 0 || fstat(fd_, &info) != 0) {
      const std::string reason = std::strerror(errno);
      if (fd_ >= 0) close(fd_);
      throw NativeError("MODEL_FORMAT", "cannot open " + path + ": " + reason);
    }
    size_ = size_t(info.st_size);
#ifdef POSIX_FADV_WILLNEED
    posix_fadvise(fd_, 0, 0, POSIX_FADV_WILLNEED);
#endif
  }
  ~CheckpointFile() { close(fd_); }
  CheckpointFile(const CheckpointFile&) = delete;
  size_t size() const { return size_; }

  void read(uint8_t* to, size_t bytes, size_t offset) const {
    while (bytes > 0) {
      const ssize_t got = pread(fd_, to, bytes, off_t(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) throw NativeError("MODEL_FORMAT", path_ + (got < 0 ? std::string(" cannot be read: ") + std::strerror(errno) : " became shorter while it was loaded; fetch it again"));
      to += got;
      bytes -= size_t(got);
      offset += size_t(got);
    }
  }

private:
  const std::string path_;
  const int fd_;
  size_t size_ = 0;
};

class Loader {
public:
  Loader(const std::vector<TensorSource>& tensors, bool forceF32, bool fixedPoint, Arena& storage, ThreadPool& pool, const std::atomic<bool>& cancel)
      : forceF32_(forceF32), fixedPoint_(fixedPoint), storage_(storage), pool_(pool), cancel_(cancel) {
    for (const TensorSource& tensor : tensors) tensors_[tensor.name] = &tensor;
  }

  const float* vector(const std::string& name, int length) {
    const TensorSource& tensor = find(name, 1, length);
    const size_t bytes = padded(length) * sizeof(float);
    float* values = reinterpret_cast<float*>(std::memset(storage_.take(bytes, "weights"), 0, bytes));
    dequantise(tensor.type, bytesOf(tensor), size_t(length), values);
    return values;
  }

  PackedMatrix matrix(const std::string& name, int rows, int cols) {
    const TensorSource& tensor = find(name, rows, cols);
    const uint8_t* source = bytesOf(tensor);
    PackedMatrix packed = describePacked(tensor.packed, rows, cols, forceF32_, fixedPoint_);
    if (packed.panelBytes == 0) throw NativeError("MODEL_FORMAT", "tensor " + name + " has " + std::to_string(cols) + " columns, which its type cannot hold");
    packed.data = storage_.take(packed.bytes(), "weights");
    std::vector<uint32_t> order;
    if (tensor.permutedHeads > 0) {
      if (rows % (2 * tensor.permutedHeads) != 0)
        throw NativeError("MODEL_FORMAT", "tensor " + name + " cannot have the rows of " + std::to_string(tensor.permutedHeads) + " heads interleaved");
      order = unpermuted(rows, tensor.permutedHeads);
    }
    const int panels = packed.panels();
    constexpr int perChunk = 4;
    pool_.run((panels + perChunk - 1) / perChunk, [&](int chunk) {
      for (int p = chunk * perChunk; p < panels && p < (chunk + 1) * perChunk; p++) {
        if (tensor.packed == tensor.type) packPanel(source, tensor.type, order.empty() ? nullptr : order.data(), p, packed);
        else packQuantised(source, tensor, order, p, packed);
      }
    });
    return packed;
  }

private:
  const TensorSource& find(const std::string& name, int rows, int cols) {
    if (cancel_) throw NativeError("CANCELLED", "the engine was closed while it loaded the model");
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) throw NativeError("MODEL_FORMAT", "tensor " + name + " is missing");
    const TensorSource& tensor = *found->second;
    if (tensor.rows != rows || tensor.cols != cols)
      throw NativeError("MODEL_FORMAT", "tensor " + name + " is " + std::to_string(tensor.rows) + " x " + std::to_string(tensor.cols) + ", not " + std::to_string(rows) + " x " + std::to_string(cols));
    return tensor;
  }

  // The tensor's bytes; valid until the next call.
  const uint8_t* bytesOf(const TensorSource& tensor) {
    auto& file = files_[tensor.file];
    if (!file) file = std::make_unique<CheckpointFile>(tensor.file);
    const size_t needed = sourceRowBytes(tensor.type, tensor.cols) * size_t(tensor.rows);
    if (needed == 0 || needed != tensor.byteLength || tensor.offset > file->size() || file->size() - tensor.offset < needed)
      throw NativeError("MODEL_FORMAT", "tensor " + tensor.name + " needs " + std::to_string(needed) + " bytes, which " + tensor.file + " does not have: the file is truncated");
    if (needed > sourceBytes_) {
      source_.reset(); // before the larger one is there
      source_ = allocateAligned(needed, "a tensor of the checkpoint");
      sourceBytes_ = needed;
    }
    const size_t chunks = (needed + kReadBytes - 1) / kReadBytes;
    pool_.run(int(chunks), [&](int chunk) {
      const size_t from = size_t(chunk) * kReadBytes;
      file->read(source_.get() + from, std::min(kReadBytes, needed - from), tensor.offset + from);
    });
    return source_.get();
  }

  // Quantises the rows of one panel into blocks, in their order, and packs these: no more than a panel is ever there twice.
  static void packQuantised(const uint8_t* source, const TensorSource& tensor, const std::vector<uint32_t>& order, int panel, PackedMatrix& packed) {
    const size_t cols = size_t(tensor.cols), sourceBytes = sourceRowBytes(tensor.type, tensor.cols), rowBytes = sourceRowBytes(tensor.packed, tensor.cols);
    const int first = panel * kPanelRows, rows = std::min(kPanelRows, tensor.rows - first);
    std::vector<float> values(cols);
    std::vector<uint8_t> blocks(rowBytes * size_t(rows));
    for (int i = 0; i < rows; i++) {
      const size_t row = order.empty() ? size_t(first + i) : order[size_t(first + i)];
      dequantise(tensor.type, source + row * sourceBytes, cols, values.data());
      quantise(tensor.packed, values.data(), cols, blocks.data() + size_t(i) * rowBytes);
    }
    // A matrix of this panel alone.
    PackedMatrix alone = packed;
    alone.rows = rows;
    alone.data += size_t(panel) * packed.panelBytes;
    packPanel(blocks.data(), tensor.packed, nullptr, 0, alone);
  }

  // Source row of each matrix row; see TensorSource.permutedHeads.
  static std::vector<uint32_t> unpermuted(int rows, int heads) {
    const int headDim = rows / heads, half = headDim / 2;
    std::vector<uint32_t> order(static_cast<size_t>(rows));
    for (int head = 0; head < heads; head++)
      for (int j = 0; j < 2; j++)
        for (int i = 0; i < half; i++) order[size_t(head * headDim + j * half + i)] = uint32_t(head * headDim + i * 2 + j);
    return order;
  }

  std::map<std::string, const TensorSource*> tensors_;
  std::map<std::string, std::unique_ptr<CheckpointFile>> files_;
  AlignedBytes source_;
  size_t sourceBytes_ = 0;
  const bool forceF32_, fixedPoint_;
  Arena& storage_;
  ThreadPool& pool_;
  const std::atomic<bool>& cancel_;
};

} // namespace

KvPrecision kvPrecisionOf(const ModelSpec& spec, const std::vector<TensorSource>& tensors, bool f32) {
  if (f32) return KvPrecision::F32;
  const auto keys = std::find_if(tensors.begin(), tensors.end(), [](const TensorSource& tensor) { return tensor.name == "layers.0.k"; });
  const bool quantised = keys != tensors.end() && describePacked(keys->packed, keys->rows, keys->cols, false).quantised();
  return quantised && !spec.qkvBias ? KvPrecision::Byte : KvPrecision::Half;
}

Model::Model(const ModelSpec& modelSpec, const std::vector<TensorSource>& tensors, const Kernels& kernelTable, bool forceF32, ThreadPool& pool,
             const std::atomic<bool>& cancel)
    : spec(modelSpec), kernels(kernelTable), f32(forceF32), kvPrecision(kvPrecisionOf(modelSpec, tensors, forceF32)) {
  Loader loader(tensors, forceF32, kernels.fixedPoint, storage_, pool, cancel);
  const int hidden = spec.hiddenSize, ffn = spec.intermediateSize, q = spec.queryDim(), kv = spec.kvDim();
  embed = loader.matrix("embed", spec.vocabSize, hidden);
  for (int i = 0; i < spec.numLayers; i++) {
    const std::string prefix = "layers." + std::to_string(i) + ".";
    Layer layer;
    layer.attnNorm = loader.vector(prefix + "attnNorm", hidden);
    layer.q = loader.matrix(prefix + "q", q, hidden);
    layer.k = loader.matrix(prefix + "k", kv, hidden);
    layer.v = loader.matrix(prefix + "v", kv, hidden);
    if (spec.qkvBias) {
      layer.qBias = loader.vector(prefix + "qBias", q);
      layer.kBias = loader.vector(prefix + "kBias", kv);
      layer.vBias = loader.vector(prefix + "vBias", kv);
    }
    if (spec.qkNorm) {
      layer.qNorm = loader.vector(prefix + "qNorm", spec.headDim);
      layer.kNorm = loader.vector(prefix + "kNorm", spec.headDim);
    }
    layer.o = loader.matrix(prefix + "o", hidden, q);
    layer.mlpNorm = loader.vector(prefix + "mlpNorm", hidden);
    layer.gate = loader.matrix(prefix + "gate", ffn, hidden);
    layer.up = loader.matrix(prefix + "up", ffn, hidden);
    layer.down = loader.matrix(prefix + "down", hidden, ffn);
    layers.push_back(layer);
  }
  finalNorm = loader.vector("finalNorm", hidden);
  head = spec.tiedHead ? embed : loader.matrix("head", spec.vocabSize, hidden);
  for (const PackedMatrix* m : {&embed, spec.tiedHead ? nullptr : &head}) weightBytes += m ? m->bytes() : 0;
  for (const Layer& layer : layers)
    for (const PackedMatrix* m : {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) weightBytes += m->bytes();
}

} // namespace dyn
