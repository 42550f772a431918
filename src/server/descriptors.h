// File descriptors: how many there may be, and how many of them clients get.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rustbd::server {

/// Raises the process's limit as far as it may; gives what holds now.
std::uint64_t raise_descriptor_limit();

/// Connections at once that leave enough of `limit` for files: log segments, archive and backup must not fail
/// because of clients. Throws 53000 if that is next to nothing.
std::size_t room_for_clients(std::uint64_t limit, std::size_t network_threads);

}  // namespace rustbd::server
