// A StatementContext for tests: fixed clock, UTC, a seeded random generator, no catalog.
#pragma once

#include "rustbd/functions/registry.h"

namespace rustbd::functions {

class TestContext final : public StatementContext {
 public:
  types::IoContext io_context;
  std::int64_t now_us = 757382400000000;  // 2024-01-01 00:00:00+00
  std::uint64_t random_state = 1;
  types::IoContext& io() override { return io_context; }
  std::int64_t transaction_timestamp_us() override { return now_us; }
  std::int64_t statement_timestamp_us() override { return now_us; }
  std::int64_t clock_timestamp_us() override { return now_us; }
  std::uint64_t random_u64() override {
    return random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
  }
  void set_random_seed(double) override { random_state = 1; }
  std::string_view current_user() override { return "postgres"; }
  std::string_view session_user() override { return "postgres"; }
  std::string_view current_database() override { return "postgres"; }
  std::string_view current_schema() override { return "public"; }
  std::vector<std::string> current_schemas(bool) override { return {"pg_catalog", "public"}; }
  std::int64_t nextval(Oid) override { return 1; }
  std::int64_t currval(Oid) override { return 1; }
  std::int64_t lastval() override { return 1; }
  void setval(Oid, std::int64_t, bool) override {}
  std::string get_setting(std::string_view, bool, bool* found) override {
    *found = true;
    return "15.0";
  }
  std::string set_setting(std::string_view, std::string_view value, bool) override {
    return std::string{value};
  }
  bool catalog_function(std::string_view, std::span<const Datum>, std::span<const bool>, Arena&,
                        Datum*) override {
    return false;
  }
};

}  // namespace rustbd::functions
