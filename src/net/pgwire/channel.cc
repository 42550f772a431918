#include "rustbd/net/pgwire/channel.h"

#include <algorithm>

#include "rustbd/base/error.h"
#include "rustbd/io/batch.h"

namespace rustbd::net::pgwire {

namespace {
std::uint32_t big_endian(const char* from) {
  std::uint32_t v;
  std::memcpy(&v, from, 4);
  return __builtin_bswap32(v);
}
}  // namespace

bool Channel::next(Message* message, std::size_t body_max) {
  const auto available = in_.size() - consumed_;
  if (available < 5) return false;
  const auto* at = in_.data() + consumed_;
  const auto length = big_endian(at + 1);
  if (length < 4 || length - 4 > body_max)
    throw error(sqlstate::kProtocolViolation, "invalid message length");
  if (available < std::size_t{length} + 1) return false;
  message->type = at[0];
  message->body = {at + 5, length - 4};
  consumed_ += std::size_t{length} + 1;
  return true;
}

bool Channel::next_startup(Message* message, std::size_t body_max) {
  const auto available = in_.size() - consumed_;
  if (available < 4) return false;
  const auto* at = in_.data() + consumed_;
  const auto length = big_endian(at);
  if (length < 8 || length - 4 > body_max)
    throw error(sqlstate::kProtocolViolation, "invalid length of startup packet");
  if (available < length) return false;
  message->type = 0;
  message->body = {at + 4, length - 4};
  consumed_ += length;
  return true;
}

void Channel::watch(std::move_only_function<void()> gone) {
  watching_ = true;
  gone_ = std::move(gone);
  arm_read();
}

void Channel::arm_read() {
  if (reading_ || filled_ > 0 || closed_) return;
  if (chunk_ == nullptr) {
    chunk_size_ = std::max(chunk_size_, kChunkMin);
    chunk_ = std::make_unique_for_overwrite<char[]>(chunk_size_);
  }
  reading_ = true;
  transport_->read({chunk_.get(), chunk_size_},
                   [self = shared_from_this()](std::size_t n) { self->on_read(n); });
}

void Channel::on_read(std::size_t n) {
  reading_ = false;
  if (n == 0) {
    lost();
    return;
  }
  filled_ = n;
  received_ += n;
  resume_waiter();
}

void Channel::absorb() {
  woken_ = false;
  if (filled_ == 0) return;
  in_.erase(0, consumed_);
  consumed_ = 0;
  in_.append(chunk_.get(), filled_);
  if (filled_ == chunk_size_ && chunk_size_ < kChunkMax) {
    chunk_size_ *= 4;
    chunk_.reset();
  }
  filled_ = 0;
  if (watching_) arm_read();
}

void Channel::wake() {
  woken_ = true;
  resume_waiter();
}
void Channel::resume_waiter() {
  if (auto waiter = std::exchange(waiter_, {})) waiter.resume();
}

void Channel::lost() {
  if (closed_) return;
  const auto self = shared_from_this();
  // A client that has said its last may still listen: what was to go at the batch's end goes now.
  if (put_off_ && !writing_ && approved_ > out_begin_)
    transport_->write_now({out_.data(), static_cast<std::size_t>(approved_ - out_begin_)});
  closed_ = true;
  held_.clear();
  out_.clear();
  transport_->close();
  room_.fire();
  flushed_.fire();
  if (auto gone = std::exchange(gone_, {})) gone();
  resume_waiter();
}
void Channel::close() {
  gone_ = {};
  lost();
}

void Channel::flush(io::WaitToken durable) {
  const auto position = out_begin_ + out_.size();
  if (closed_) {
    out_.clear();
    return;
  }
  if (position == approved_) return;
  if (held_.empty() && durable.fired()) {
    approve(position);
    return;
  }
  held_.emplace_back(position, durable);
  if (held_.size() > 1) return;
  durable.then(transport_->lane(), [self = shared_from_this()] { self->after_send(); });
}

void Channel::approve(std::uint64_t position) {
  approved_ = position;
  send_in_batch();
}

void Channel::send_in_batch() {
  if (put_off_) return;
  put_off_ = io::after_batch([self = shared_from_this()] {
    self->put_off_ = false;
    try {
      self->send();
    } catch (const std::bad_alloc&) {  // nobody above could tell the client
      self->lost();
    }
  });
  if (!put_off_) send();
}

void Channel::send() {
  if (writing_ || closed_ || approved_ == out_begin_) return;
  const std::span<const char> all{out_.data(), static_cast<std::size_t>(approved_ - out_begin_)};
  writing_ = transport_->write_with_others(all, [self = shared_from_this()](std::size_t taken) {
    self->writing_ = false;
    try {
      self->on_taken(taken);
    } catch (const std::bad_alloc&) {  // as in send_in_batch()
      self->lost();
    }
  });
  if (!writing_) on_taken(transport_->write_now(all));
}

// Of the bytes that are approved the stream took so many at once.
void Channel::on_taken(std::size_t taken) {
  if (closed_) return;
  const auto size = static_cast<std::size_t>(approved_ - out_begin_);
  sent_total_ += taken;
  if (taken == out_.size()) {
    out_begin_ += taken;
    out_.clear();
    after_send();
    return;
  }
  // The rest goes in the background. What is not approved yet stays in out_.
  sending_.clear();
  if (size == out_.size()) {
    std::swap(sending_, out_);
    sent_ = taken;
    out_begin_ += size;
  } else {
    sending_.append({out_.data() + taken, size - taken});
    sent_ = 0;
    OutputBuffer rest;
    rest.append(out_.view().substr(size));
    out_ = std::move(rest);
    out_begin_ += size;
  }
  if (sent_ == sending_.size()) {
    sending_.clear();
    sent_ = 0;
    after_send();
    return;
  }
  writing_ = true;
  transport_->write({sending_.data() + sent_, sending_.size() - sent_}, [self = shared_from_this()](bool ok) {
    self->writing_ = false;
    self->sent_total_ += self->sending_.size() - self->sent_;
    self->sending_.clear();
    self->sent_ = 0;
    if (!ok) self->lost();
    else self->after_send();
  });
}

// Something may have changed: results became durable, or bytes have left.
void Channel::after_send() {
  if (closed_) return;
  while (!held_.empty() && held_.front().second.fired()) {
    approved_ = held_.front().first;
    held_.pop_front();
    if (!held_.empty() && !held_.front().second.fired())
      held_.front().second.then(transport_->lane(), [self = shared_from_this()] { self->after_send(); });
  }
  if (pending() <= kPendingLow && room_) std::exchange(room_, {}).fire();
  if (flushed_ && !writing_ && held_.empty() && approved_ == out_begin_) std::exchange(flushed_, {}).fire();
  if (!writing_ && approved_ > out_begin_) send_in_batch();
}

io::WaitToken Channel::room() {
  if (closed_ || pending() <= kPendingMax) return {};
  if (!room_ || room_.fired()) room_ = io::WaitToken::make(io::WaitReason::kClient);
  return room_;
}
io::WaitToken Channel::flushed() {
  if (closed_ || (!writing_ && held_.empty() && approved_ == out_begin_)) return {};
  if (!flushed_ || flushed_.fired()) flushed_ = io::WaitToken::make(io::WaitReason::kClient);
  return flushed_;
}

void Channel::trim() {
  if (out_.empty() && out_.capacity() > kFlushBytes) out_.release();
  if (!writing_ && sending_.capacity() > kFlushBytes) sending_.release();
  if (consumed_ == in_.size()) {
    consumed_ = 0;
    if (in_.capacity() > kFlushBytes) std::string{}.swap(in_);
    else in_.clear();
  }
}

}  // namespace rustbd::net::pgwire
