#include "rustbd/net/send_ring.h"

#include <liburing.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "rustbd/base/assert.h"

namespace rustbd::net {

namespace {
constexpr std::size_t kEntries = 32;
constexpr int kFlags = MSG_NOSIGNAL | MSG_DONTWAIT;
std::size_t taken(ssize_t result) { return result > 0 ? static_cast<std::size_t>(result) : 0; }
}  // namespace

void SendRing::Exit::operator()(io_uring* ring) const {
  io_uring_queue_exit(ring);
  delete ring;
}

SendRing::SendRing() {
  auto ring = std::make_unique<io_uring>();
  if (io_uring_queue_init(kEntries, ring.get(), 0) == 0) ring_.reset(ring.release());
}
SendRing::~SendRing() = default;

bool SendRing::add(int socket, std::span<const char> from, Sent sent) {
  if (!gathering_) return false;
  sends_.push_back({socket, from, std::move(sent)});
  return true;
}

void SendRing::flush() {
  gathering_ = false;
  if (ring_) {
    for (std::size_t i = 0; i < sends_.size(); i += kEntries)
      send_some(i, std::min(kEntries, sends_.size() - i));
  } else {
    for (Send& s : sends_) s.taken = taken(::send(s.socket, s.from.data(), s.from.size(), kFlags));
  }
  for (Send& s : sends_) s.sent(s.taken);
  sends_.clear();
}

void SendRing::send_some(std::size_t first, std::size_t count) {
  io_uring* ring = ring_.get();
  for (std::size_t i = first; i < first + count; ++i) {
    io_uring_sqe* sqe = io_uring_get_sqe(ring);
    RUSTBD_ASSERT(sqe != nullptr, "the ring is empty between two batches");
    io_uring_prep_send(sqe, sends_[i].socket, sends_[i].from.data(), sends_[i].from.size(), kFlags);
    io_uring_sqe_set_data64(sqe, i);
  }
  for (std::size_t done = 0; done < count;) {
    const int n = io_uring_submit_and_wait(ring, static_cast<unsigned>(count - done));
    RUSTBD_ASSERT(n >= 0 || n == -EINTR || n == -EAGAIN || n == -EBUSY, "io_uring_submit failed");
    unsigned head = 0, seen = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(ring, head, cqe) {
      sends_[io_uring_cqe_get_data64(cqe)].taken = taken(cqe->res);
      ++seen;
    }
    io_uring_cq_advance(ring, seen);
    done += seen;
  }
}

}  // namespace rustbd::net
