#include "rustbd/server/descriptors.h"

#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <limits>

#include "rustbd/base/error.h"

namespace rustbd::server {

namespace {
constexpr std::uint64_t kForFiles = 48;     // what a server has open, with an archive and a backup
constexpr std::uint64_t kForRefusals = 32;  // connections that come in without room
constexpr std::uint64_t kForEachThread =
    5;  // epoll, eventfd, timerfd, io_uring; a socket to be closed at once
constexpr std::uint64_t kClientsMin = 8;

// What was there at the start; whoever started us may have left more than the three.
std::uint64_t open_now() {
  std::error_code failure;
  std::uint64_t count = 0;
  for (std::filesystem::directory_iterator at{"/proc/self/fd", failure}, end; !failure && at != end;
       at.increment(failure))
    ++count;
  return std::max<std::uint64_t>(count, 3);
}
}  // namespace

std::uint64_t raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return std::numeric_limits<std::uint64_t>::max();
  if (limit.rlim_cur < limit.rlim_max) {
    rlimit raised = limit;
    raised.rlim_cur = raised.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  return limit.rlim_cur;  // RLIM_INFINITY is the largest number
}

std::size_t room_for_clients(std::uint64_t limit, std::size_t network_threads) {
  const std::uint64_t others = open_now() + kForFiles + kForRefusals + kForEachThread * (network_threads + 1);
  if (limit < others + kClientsMin)
    throw error(sqlstate::kInsufficientResources,
                "the limit of open files is {}, and this server needs at least {}", limit,
                others + kClientsMin)
        .with_hint("Raise it: \"ulimit -n\", or LimitNOFILE= of a systemd unit.");
  return limit - others;
}

}  // namespace rustbd::server
