// Arrays of zeros that begin at a multiple of 64 bytes, and memory that grows.
#pragma once

#include <cstdint>

namespace fastnn {

void *allocate_zeros(int64_t bytes);  // null without memory
void free_zeros(void *memory);

// An array that is kept from one use to the next. It is replaced by a larger one if a use needs more.
class KeptArray {
  public:
    KeptArray() = default;
    ~KeptArray() { free_zeros(start_); }
    KeptArray(const KeptArray &) = delete;
    KeptArray &operator=(const KeptArray &) = delete;

    void *start() const { return start_; }
    // Makes room for this number of bytes, and returns whether there is memory. New memory is all zero; the old one stays as it is.
    bool grow(int64_t bytes);
    // Makes room for arrays of this layout, and returns whether there is memory. They are all zero unless the use before had the same
    // layout, and nobody called forget() since. Arrays of layout 0 are always zero.
    bool lay_out(int64_t bytes, uint64_t layout);
    void forget() { layout_ = 0; }

  private:
    void *start_ = nullptr;
    int64_t bytes_ = 0;
    uint64_t layout_ = 0;
};

}  // namespace fastnn
