// Part of the crash simulation: what must hold after each start and at the end (storage.md §10).
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "rustbd/txn/testing/crash_world.h"

namespace rustbd::txn::testing {

/// Every table and index against the model at the recovered timestamp, and the deep check (P1-P6, P13). Where
/// the disk has done damage, what cannot be read says XX001, and everything else is as the model says (P10).
void verify_state(CrashWorld& world, const std::string& when);

/// The same of any database that should be as the model was at `ts`.
void verify_database(CrashWorld& world, TransactionSystem& system, const std::string& when, std::uint64_t ts);

/// The pages that something refers to.
std::set<std::uint64_t> reachable_pages(CrashWorld& world);

/// Whether a line of a check or of the server's log tells of damage.
bool tells_of_damage(std::string_view line);

}  // namespace rustbd::txn::testing
