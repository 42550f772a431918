// How kernel files hand their kernels to the registry: by the name of PostgreSQL's C function
// (pg_proc.prosrc), which is shared by all pg_proc rows that mean the same (length, char_length,
// character_length are all "textlen"). SQL-language functions of PostgreSQL have the key "name_oid".
#pragma once

#include <initializer_list>
#include <string_view>
#include <unordered_map>

#include "rustbd/functions/registry.h"

namespace rustbd::functions {

struct KernelEntry {
  Kernels kernels;
  bool can_error = true;
};

/// Filled once by the register_* functions when the registry is built. Names are string literals.
class KernelTable {
 public:
  void scalar(std::string_view name, ScalarKernel kernel, bool can_error = true) {
    entries_[name] = {Kernels{nullptr, kernel, {}}, can_error};
  }
  void vector(std::string_view name, VectorKernel vector, ScalarKernel kernel, bool can_error) {
    entries_[name] = {Kernels{vector, kernel, {}}, can_error};
  }
  void set(std::string_view name, SetKernel kernel) {
    entries_[name] = {Kernels{nullptr, nullptr, kernel}, true};
  }
  [[nodiscard]] const KernelEntry* find(std::string_view name) const {
    const auto it = entries_.find(name);
    return it == entries_.end() ? nullptr : &it->second;
  }
  [[nodiscard]] const std::unordered_map<std::string_view, KernelEntry>& entries() const { return entries_; }

 private:
  std::unordered_map<std::string_view, KernelEntry> entries_;
};

/// Aggregates are keyed by their own oid.
class AggregateTable {
 public:
  void add(Oid oid, const AggregateKernels& kernels, bool strict, bool order_sensitive = false,
           bool needs_arena = false) {
    entries_[oid] = {kernels, strict, order_sensitive, needs_arena};
  }
  struct Entry {
    AggregateKernels kernels;
    bool strict, order_sensitive, needs_arena;
  };
  [[nodiscard]] const Entry* find(Oid oid) const {
    const auto it = entries_.find(oid);
    return it == entries_.end() ? nullptr : &it->second;
  }

 private:
  std::unordered_map<Oid, Entry> entries_;
};

void register_integer_kernels(KernelTable&);
void register_float_kernels(KernelTable&);
void register_comparison_kernels(KernelTable&);
void register_cast_kernels(KernelTable&);
void register_numeric_kernels(KernelTable&);
void register_text_kernels(KernelTable&);
void register_text_tool_kernels(KernelTable&);
void register_pattern_kernels(KernelTable&);
void register_regex_kernels(KernelTable&);
void register_datetime_kernels(KernelTable&);
void register_datetime_field_kernels(KernelTable&);
void register_format_kernels(KernelTable&);
void register_array_kernels(KernelTable&);
void register_set_kernels(KernelTable&);
void register_system_kernels(KernelTable&);
void register_number_aggregates(AggregateTable&);
void register_order_aggregates(AggregateTable&);
void register_collect_aggregates(AggregateTable&);
void register_statistic_aggregates(AggregateTable&);

}  // namespace rustbd::functions
