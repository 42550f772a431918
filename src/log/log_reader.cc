#include "rustbd/log/log_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "rustbd/base/assert.h"
#include "rustbd/base/crc32c.h"

namespace rustbd::log {

namespace {
constexpr std::uint64_t kWindowBytes = 256u << 10;
constexpr std::size_t kOpenSegmentsMax = 4;

/// What stands before the events.
std::size_t prefix_bytes(const BatchHeader& header) {
  return (has_fragment(header.kind) ? kFragmentBytes : 0) +
         ((header.flags & kFlagEncrypted) != 0 ? kSealBytes : 0);
}
}  // namespace

LogReader::LogReader(io::Disk& disk, std::string directory, Geometry geometry, const security::KeyRing* keys)
    : disk_(disk), directory_(std::move(directory)), geometry_(geometry), keys_(keys) {}
LogReader::~LogReader() = default;

void LogReader::seek(Lsn start) {
  position_ = seek_ = start;
  chain_.reset();
  last_ts_ = {};
  durable_ = {};
  problem_.clear();
  missing_key_ = 0;
}

void LogReader::set_limit(Lsn limit) {
  limit_ = limit;
  window_.clear();  // what was read ahead may have been written since
  open_.clear();
}

LogReader::OpenSegment* LogReader::segment(std::uint64_t number) {
  const auto found = std::ranges::find(open_, number, [](const auto& known) { return known->number; });
  if (found != open_.end()) {
    std::rotate(found, found + 1, open_.end());
    return open_.back().get();
  }
  auto fresh = std::make_unique<OpenSegment>();
  fresh->number = number;
  const std::string path = directory_ + "/" + segment_name(geometry_.first_lsn(number));
  if (auto file = disk_.open(path, {.read_only = true})) {
    fresh->file = std::move(*file);
    const auto size = fresh->file->size();
    if (!size) return nullptr;
    fresh->file_bytes = std::min(*size, geometry_.segment_bytes());
    if (fresh->file_bytes >= kSegmentHeaderBytes) {
      Bytes block(kSegmentHeaderBytes);
      if (!fresh->file->read(0, block)) return nullptr;
      fresh->header = decode_segment_header(std::span<const std::byte, kSegmentHeaderBytes>{block});
      fresh->damaged = !fresh->header &&
                       std::any_of(block.begin(), block.end(), [](std::byte b) { return b != std::byte{0}; });
      if (fresh->header && fresh->header->first_lsn != geometry_.first_lsn(number).raw())
        fresh->header.reset();
    }
  } else if (file.error() != io::IoFailure::kNotFound) {
    return nullptr;
  }
  if (open_.size() == kOpenSegmentsMax) open_.erase(open_.begin());
  return open_.emplace_back(std::move(fresh)).get();
}

LogReader::Check LogReader::fill_window(std::uint64_t from) {
  window_.clear();
  const OpenSegment* in = segment(from / geometry_.payload_bytes());
  if (in == nullptr) return Check::kIoError;
  const std::uint64_t offset = kSegmentHeaderBytes + from % geometry_.payload_bytes();
  if (!in->file || offset >= in->file_bytes) return Check::kInvalid;
  window_.resize(std::min(kWindowBytes, in->file_bytes - offset));
  window_start_ = from;
  if (in->file->read(offset, window_)) return Check::kValid;
  window_.clear();
  return Check::kIoError;
}

LogReader::Check LogReader::read_stream(std::uint64_t from, std::span<std::byte> into) {
  while (!into.empty()) {
    if (from < window_start_ || from >= window_start_ + window_.size()) {
      if (const Check filled = fill_window(from); filled != Check::kValid) return filled;
    }
    const std::uint64_t skip = from - window_start_;
    const std::size_t n = std::min<std::uint64_t>(into.size(), window_.size() - skip);
    std::memcpy(into.data(), window_.data() + skip, n);
    into = into.subspan(n);
    from += n;
  }
  return Check::kValid;
}

bool LogReader::plausible(const BatchHeader& header, Lsn at) const {
  const auto kind = static_cast<std::uint8_t>(header.kind);
  if (header.magic != kBatchMagic || header.lsn != at.raw() || kind < 1 || kind > 12) return false;
  if (header.len < sizeof header || (header.flags & ~kFlagEncrypted) != 0) return false;
  if (header.kind == BatchKind::kPad) return header.len <= 2 * geometry_.payload_bytes();
  return header.len <= geometry_.payload_bytes() && header.len >= sizeof header + prefix_bytes(header);
}

// Everything but the chain.
LogReader::Check LogReader::load_batch(Lsn at, Bytes& into, BatchView& view, bool open_seal) {
  const std::uint64_t stream = geometry_.to_stream(at);
  BatchHeader header;
  Check read = read_stream(stream, {reinterpret_cast<std::byte*>(&header), sizeof header});
  if (read != Check::kValid) return read;
  if (at.raw() % kBatchAlignment != 0 || !plausible(header, at)) return Check::kInvalid;
  const OpenSegment* home = segment(geometry_.segment_of(at));
  if (home == nullptr) return Check::kIoError;
  if (!home->header) return Check::kInvalid;
  const std::uint64_t salt = home->header->salt;
  // A batch that goes on in the next segment counts only with that one's header: they were synced together.
  if (const std::uint64_t last = (stream + header.len - 1) / geometry_.payload_bytes();
      last != home->number) {
    const OpenSegment* other = segment(last);
    if (other == nullptr) return Check::kIoError;
    if (!other->header || other->header->salt != salt) return Check::kInvalid;
  }
  into.resize(header.kind == BatchKind::kPad ? 0 : header.len - sizeof header);
  read = read_stream(stream + sizeof header, into);
  if (read != Check::kValid) return read;
  if (batch_crc(salt, header, crc32c(0, into.data(), into.size()), into.size()) != header.crc)
    return Check::kInvalid;
  view.start = at;
  view.end = geometry_.next_batch(at, header.len);
  view.header = header;
  view.fragment = has_fragment(header.kind) ? load_fragment(into.data()) : Fragment{};
  view.events = header.kind == BatchKind::kPad ? ByteSpan{} : ByteSpan{into}.subspan(prefix_bytes(header));
  if ((header.flags & kFlagEncrypted) == 0 || !open_seal) return Check::kValid;
  const auto foreign = [&] { return keys_ == nullptr || keys_->find(header.key_id) == nullptr; };
  if (!leave_sealed_ && !(leave_foreign_ && foreign())) return unseal(into, view);
  view.events = {};
  return Check::kValid;
}

LogReader::Check LogReader::unseal(Bytes& into, BatchView& view) {
  const security::DataKey* key = keys_ != nullptr ? keys_->find(view.header.key_id) : nullptr;
  if (key == nullptr) {
    missing_key_ = view.header.key_id;
    problem_ = fmt::format("the batch at {} is sealed with encryption key {}, which is not there",
                           to_text(view.start), view.header.key_id);
    return Check::kSealed;
  }
  const std::size_t prefix = prefix_bytes(view.header);
  const std::byte* at = into.data() + prefix - kSealBytes;
  security::Seal seal;
  seal.counter = load<std::uint64_t>(at);
  seal.tag = load<security::Tag>(at + sizeof seal.counter);
  Bytes associated;
  ByteWriter{associated}.fixed(sealed_header(view.header));
  associated.insert(associated.end(), static_cast<const std::byte*>(into.data()), at);
  if (key->open(security::Purpose::kLog, seal, associated, std::span{into}.subspan(prefix)))
    return Check::kValid;
  problem_ = fmt::format(
      "the batch at {} is not what was sealed with encryption key {}, or the key of that number "
      "in keys.tab is another one",
      to_text(view.start), view.header.key_id);
  return Check::kSealed;
}

// 0 stands for "unknown": in a PAD by which recovery closed a log of which it had read no batch, and in the
// first batch after that.
bool LogReader::continues_chain(const BatchHeader& header, Lsn at) const {
  if (!chain_ || header.prev_crc == *chain_) return true;
  const bool opens_segment = geometry_.first_batch(geometry_.segment_of(at)) == at;
  return header.prev_crc == 0 && (header.kind == BatchKind::kPad || opens_segment);
}

ReadOutcome LogReader::next() {
  RUSTBD_ASSERT(!position_.is_none(), "seek first");
  for (;;) {
    if (!limit_.is_none() && position_ >= limit_) return ReadOutcome::kEnd;
    const Check check = load_batch(position_, buffer_, batch_);
    if (check == Check::kIoError)
      return broken(check, fmt::format("log cannot be read at {}", to_text(position_)));
    if (check == Check::kSealed) return ReadOutcome::kDamaged;
    if (check == Check::kInvalid || !continues_chain(batch_.header, position_)) return judge_end();
    chain_ = batch_.header.crc;
    position_ = batch_.end;
    last_ts_ = std::max(last_ts_, CommitTimestamp{batch_.header.commit_ts});
    durable_ = std::max(durable_, Lsn{batch_.header.durable_lsn});
    if (batch_.header.kind != BatchKind::kPad) return ReadOutcome::kBatch;
  }
}

ReadOutcome LogReader::broken(Check check, const std::string& what) {
  problem_ = what;
  return check == Check::kIoError ? ReadOutcome::kIoError : ReadOutcome::kDamaged;
}

// Segments are made in their order, each whole (SegmentStore): one that lacks among those behind `end`, or
// the rest of one that is short, was there once, with what it held. False: problem_ says which.
bool LogReader::files_whole(Lsn end, const std::vector<Lsn>& all, Check* check) {
  const std::uint64_t number = geometry_.segment_of(end);
  std::uint64_t expected = number;
  for (const Lsn first : all) {
    const std::uint64_t candidate = geometry_.segment_of(first);
    if (candidate < number || geometry_.first_lsn(candidate) != first) continue;
    if (candidate != expected) {
      *check = Check::kInvalid;
      problem_ = fmt::format("log damaged at {}: segment {} is missing, but later ones are there",
                             to_text(end), segment_name(geometry_.first_lsn(expected)));
      return false;
    }
    ++expected;
    const OpenSegment* opened = segment(candidate);
    *check = opened == nullptr ? Check::kIoError : Check::kInvalid;
    if (opened == nullptr) problem_ = fmt::format("log segment {} cannot be opened", segment_name(first));
    if (opened == nullptr) return false;
    // close_log may have been stopped while it made the file into which its PAD runs over.
    const bool unfinished = candidate == number + 1 && first == all.back() &&
                            geometry_.first_lsn(candidate).raw() - end.raw() < sizeof(BatchHeader);
    if (opened->file_bytes == geometry_.segment_bytes() || unfinished) continue;
    problem_ = fmt::format("log damaged at {}: segment {} is cut short, it has {} bytes instead of {}",
                           to_text(end), segment_name(first), opened->file_bytes, geometry_.segment_bytes());
    return false;
  }
  return true;
}

// storage.md 7.6. position_ holds the first invalid batch.
ReadOutcome LogReader::judge_end() {
  const Lsn end = position_;
  const std::uint64_t number = geometry_.segment_of(end);
  const auto listed = list_segments(disk_, directory_);
  if (!listed && listed.error() != io::IoFailure::kNotFound)
    return broken(Check::kIoError, "the log cannot be listed");
  const std::vector<Lsn> all = listed.value_or(std::vector<Lsn>{});
  if (Check check{}; !files_whole(end, all, &check)) return broken(check, problem_);
  const OpenSegment* home = segment(number);
  if (home == nullptr) return broken(Check::kIoError, "a log segment cannot be opened");
  if (!home->header &&
      end != geometry_.first_batch(number))  // something before it had been written under a valid header
    return broken(Check::kInvalid, fmt::format("log damaged at {}: segment {} {}", to_text(end),
                                               segment_name(geometry_.first_lsn(number)),
                                               home->file ? "has no good header" : "is missing"));
  for (const Lsn first : all) {
    const std::uint64_t candidate = geometry_.segment_of(first);
    if (candidate < number || geometry_.first_lsn(candidate) != first) continue;
    const OpenSegment* opened = segment(candidate);
    if (opened == nullptr) return broken(Check::kIoError, "a log segment cannot be opened");
    if (!opened->header && !opened->damaged) continue;
    Lsn proof;
    const Check found = find_proof_behind(end, candidate, &proof);
    if (found == Check::kIoError)
      return broken(found, fmt::format("log segment {} cannot be read", segment_name(first)));
    if (found == Check::kValid) {
      return broken(Check::kInvalid,
                    fmt::format("log damaged at {}: the batch at {} says that it had been durable",
                                to_text(end), to_text(proof)));
    }
  }
  (void)segment(number);  // end() looks for it among those that are open
  return ReadOutcome::kEnd;
}

// kValid: the candidate is a batch that was written when `end` was durable already.
LogReader::Check LogReader::is_proof(Lsn candidate, Lsn end, bool has_salt) {
  BatchView view;
  if (has_salt) {
    Bytes body;
    const Check check = load_batch(candidate, body, view, false);
    return check == Check::kValid && Lsn{view.header.durable_lsn} <= end ? Check::kInvalid : check;
  }
  BatchHeader first, second;
  const auto load_header = [&](Lsn at, BatchHeader& header) {
    const Check read =
        read_stream(geometry_.to_stream(at), {reinterpret_cast<std::byte*>(&header), sizeof header});
    return read == Check::kValid && !plausible(header, at) ? Check::kInvalid : read;
  };
  if (const Check check = load_header(candidate, first); check != Check::kValid) return check;
  const Check check = load_header(geometry_.next_batch(candidate, first.len), second);
  if (check != Check::kValid) return check;
  return second.prev_crc == first.crc && Lsn{second.durable_lsn} > end ? Check::kValid : Check::kInvalid;
}

// Looks at every possible position of the segment, from a stream position in it on, for one of which
// `judge(position, the segment has a header)` says other than kInvalid.
template <class Judge>
LogReader::Check LogReader::find_batch(std::uint64_t from_stream, std::uint64_t segment_number, Lsn* found,
                                       Judge&& judge) {
  const std::uint64_t last = (segment_number + 1) * geometry_.payload_bytes();
  Bytes chunk;
  for (std::uint64_t at = from_stream; at < last; at += chunk.size()) {
    const OpenSegment* in = segment(segment_number);
    if (in == nullptr) return Check::kIoError;
    const bool has_salt = in->header.has_value();
    const std::uint64_t offset = kSegmentHeaderBytes + at % geometry_.payload_bytes();
    const std::uint64_t stored =
        in->file_bytes > offset ? (in->file_bytes - offset) / kBatchAlignment * kBatchAlignment : 0;
    if (stored == 0) return Check::kInvalid;
    chunk.resize(std::min({kWindowBytes, last - at, stored}));
    if (!in->file->read(offset, chunk)) return Check::kIoError;
    for (std::size_t i = 0; i < chunk.size(); i += kBatchAlignment) {
      if (load<std::uint32_t>(chunk.data() + i) != kBatchMagic) continue;
      *found = geometry_.to_lsn(at + i);
      if (const Check check = judge(*found, has_salt); check != Check::kInvalid) return check;
    }
  }
  return Check::kInvalid;
}

// A valid batch that was written when `end` was durable already.
LogReader::Check LogReader::find_proof_behind(Lsn end, std::uint64_t segment_number, Lsn* proof) {
  const std::uint64_t first = std::max(geometry_.to_stream(end), segment_number * geometry_.payload_bytes());
  return find_batch(first, segment_number, proof,
                    [&](Lsn at, bool has_salt) { return is_proof(at, end, has_salt); });
}

io::IoResult<bool> LogReader::seek_segment(std::uint64_t number) {
  Lsn first;
  const Check found =
      find_batch(number * geometry_.payload_bytes(), number, &first, [&](Lsn at, bool has_salt) {
        Bytes body;
        BatchView view;
        return has_salt ? load_batch(at, body, view, false) : Check::kInvalid;
      });
  if (found == Check::kIoError) return std::unexpected{io::IoFailure::kDevice};
  if (found == Check::kValid) seek(first);
  return found == Check::kValid;
}

io::IoResult<> LogReader::seek_oldest(Lsn needed) {
  seek(needed);
  const auto all = list_segments(disk_, directory_);
  if (!all && all.error() == io::IoFailure::kNotFound) return {};
  if (!all) return std::unexpected{all.error()};
  const std::uint64_t home = geometry_.segment_of(needed);
  std::uint64_t oldest = home;
  for (; oldest > 0 && std::ranges::binary_search(*all, geometry_.first_lsn(oldest - 1)); --oldest) {
    const OpenSegment* before = segment(oldest - 1);
    if (before == nullptr) return std::unexpected{io::IoFailure::kDevice};
    const bool whole = before->file_bytes == geometry_.segment_bytes();
    if (whole && !before->header && !before->damaged) break;  // given up already, to be used again
  }
  // Not a valid one: a damaged first batch must not be passed over.
  const auto begins_batch = [this](Lsn at, bool) {
    BatchHeader header;
    const Check read =
        read_stream(geometry_.to_stream(at), {reinterpret_cast<std::byte*>(&header), sizeof header});
    return read == Check::kValid && !plausible(header, at) ? Check::kInvalid : read;
  };
  for (; oldest <= home; ++oldest) {
    Lsn first;
    const Check found = find_batch(oldest * geometry_.payload_bytes(), oldest, &first, begins_batch);
    if (found == Check::kIoError) return std::unexpected{io::IoFailure::kDevice};
    if (found != Check::kValid) continue;
    if (first < needed) seek(first);
    break;
  }
  return {};
}

LogEnd LogReader::end() const {
  LogEnd end;
  end.end = position_;
  end.last_crc = chain_.value_or(0);
  end.last_ts = last_ts_;
  end.durable = durable_;
  const std::uint64_t number = geometry_.segment_of(position_);
  for (const auto& known : open_) {
    if (!known->header || known->number > number) continue;
    end.wal_uuid = known->header->wal_uuid;
    end.timeline = known->header->timeline;
    if (known->number == number) end.salt = known->header->salt;
  }
  return end;
}

bool LogReader::read_at(Lsn lsn, Bytes& into, BatchView& view) {
  const Check check = load_batch(lsn, into, view);
  if (check == Check::kValid) return true;
  if (check == Check::kSealed) return false;
  (void)broken(check, fmt::format("no valid batch at {}", to_text(lsn)));
  return false;
}

std::optional<std::vector<FragmentRef>> LogReader::read_fragment_chain(const BatchView& last) {
  std::vector<FragmentRef> chain;
  Bytes content;
  BatchView view = last;
  while (!view.fragment.prev_lsn.is_none()) {
    const FragmentRef link{view.fragment.prev_lsn, view.fragment.keep};
    const Lsn before = view.start;
    if (link.lsn >= before || !read_at(link.lsn, content, view)) return std::nullopt;
    if (view.header.kind != BatchKind::kFragment || view.header.txid != last.header.txid ||
        link.keep > view.header.n_events) {
      problem_ = fmt::format("the batch at {} is not the fragment that {} continues", to_text(link.lsn),
                             to_text(before));
      return std::nullopt;
    }
    chain.push_back(link);
  }
  std::reverse(chain.begin(), chain.end());
  return chain;
}

bool LogReader::for_each_event(const BatchView& last, const std::function<void(const Event&)>& visit) {
  const auto walk = [&](ByteSpan events, std::uint32_t count) {
    EventReader reader{events};
    Event event;
    std::uint32_t seen = 0;
    for (; seen < count && reader.next(event); ++seen) visit(event);
    if (seen != count) problem_ = "a batch holds fewer events than it says";
    return seen == count;
  };
  const auto chain = read_fragment_chain(last);
  if (!chain) return false;
  Bytes content;
  BatchView view;
  for (const FragmentRef& link : *chain)
    if (!read_at(link.lsn, content, view) || !walk(view.events, link.keep)) return false;
  return walk(last.events, last.header.n_events);
}

}  // namespace rustbd::log
