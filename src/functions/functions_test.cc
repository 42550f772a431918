#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <random>
#include <sstream>

#include "rustbd/base/error.h"
#include "rustbd/functions/registry.h"
#include "rustbd/functions/test_context.h"
#include "rustbd/types/array.h"
#include "rustbd/types/compare.h"
#include "rustbd/types/numeric.h"

namespace rustbd::functions {

namespace {

namespace oid = types::oid;
using types::Form;
using types::Phys;

std::vector<std::string> split(const std::string& line, char separator) {
  std::vector<std::string> fields;
  std::size_t at = 0;
  for (std::size_t hit; (hit = line.find(separator, at)) != std::string::npos; at = hit + 1)
    fields.push_back(line.substr(at, hit - at));
  fields.push_back(line.substr(at));
  return fields;
}
std::vector<std::vector<std::string>> read_tsv(const std::string& name) {
  std::ifstream in{std::string{RUSTBD_SOURCE_DIR} + "/src/functions/" + name};
  EXPECT_TRUE(in.good()) << name;
  std::vector<std::vector<std::string>> rows;
  for (std::string line; std::getline(in, line);) rows.push_back(split(line, '\t'));
  return rows;
}
std::string list_of(std::span<const Oid> oids) {
  std::string out;
  for (const Oid o : oids) out += (out.empty() ? "" : " ") + std::to_string(o);
  return out;
}

TEST(Registry, DeclaresFunctionsAsPostgresDoes) {
  std::map<Oid, std::vector<std::string>> rows;
  for (auto& r : read_tsv("testdata/pg_proc.tsv")) rows[static_cast<Oid>(std::stoul(r[0]))] = r;
  std::size_t compared = 0;
  for (const FunctionDeclaration& f : Registry::instance().all_functions()) {
    if (f.name.starts_with("rustbd_")) {  // the server's own
      EXPECT_FALSE(rows.contains(f.oid)) << f.oid << " is PostgreSQL's";
      continue;
    }
    ASSERT_TRUE(rows.contains(f.oid)) << f.oid << " " << f.name;
    const auto& r = rows[f.oid];
    SCOPED_TRACE(r[1]);
    EXPECT_EQ(f.name, r[1]);
    EXPECT_EQ(list_of(f.arguments), r[3]);
    EXPECT_EQ(std::to_string(f.result), r[4]);
    EXPECT_EQ(f.is(kStrict), r[6] == "1");
    EXPECT_EQ(f.is(kImmutable), r[7] == "i");
    EXPECT_EQ(f.is(kStable), r[7] == "s");
    EXPECT_EQ(f.is(kVolatile), r[7] == "v");
    EXPECT_EQ(f.is(kSetReturning), r[8] == "1");
    EXPECT_EQ(f.is(kSetReturning), f.kernels.set.next != nullptr);
    EXPECT_EQ(std::to_string(f.variadic_element), r[9]);
    EXPECT_EQ(std::to_string(f.default_count), r[10]);
    ++compared;
  }
  EXPECT_GT(compared, 1000u);
}

TEST(Registry, OperatorsAndCastsNameDeclaredFunctions) {
  const Registry& registry = Registry::instance();
  std::map<Oid, std::vector<std::string>> rows;
  for (auto& r : read_tsv("testdata/pg_operator.tsv")) rows[static_cast<Oid>(std::stoul(r[0]))] = r;
  for (const OperatorDeclaration& o : registry.all_operators()) {
    SCOPED_TRACE(o.oid);
    EXPECT_NE(registry.function(o.function), nullptr);
    EXPECT_EQ(std::to_string(o.result), rows[o.oid][4]);
    EXPECT_EQ(std::to_string(o.left), rows[o.oid][2]);
    EXPECT_EQ(std::to_string(o.right), rows[o.oid][3]);
  }
  for (const CastDeclaration& c : registry.all_casts()) {
    if (c.function != 0) EXPECT_NE(registry.function(c.function), nullptr) << c.source << "->" << c.target;
  }
  ASSERT_NE(registry.cast(oid::kInt4, oid::kInt8), nullptr);
  EXPECT_EQ(registry.cast(oid::kInt4, oid::kInt8)->context, CastContext::kImplicit);
  EXPECT_EQ(registry.cast(oid::kInt8, oid::kInt4)->context, CastContext::kAssignment);
  EXPECT_EQ(registry.functions("lower").empty(), false);
  EXPECT_EQ(registry.aggregates("count").size(), 2u);
}

// ---- cases answered by PostgreSQL
// -------------------------------------------------------------------------------
struct Caller {
  Arena arena;
  TestContext statement;
  std::string call(const FunctionDeclaration& f, const std::vector<TypeRef>& argument_types,
                   const std::vector<std::string>& texts) {
    statement.io_context.arena = &arena;
    std::vector<Datum> values;
    for (std::size_t i = 0; i < texts.size(); ++i)
      values.push_back(types::input_text(texts[i], argument_types[i], statement.io_context));
    const auto nulls = std::make_unique<bool[]>(texts.size() + 1);
    try {
      const ResolvedFunction resolved = resolve_kernels(f, argument_types);
      EvalContext context;
      context.arena = &arena;
      context.statement = &statement;
      context.result_type = resolved.result;
      context.argument_types = resolved.arguments;
      context.function = &f;
      Datum out;
      bool is_null = false;
      resolved.kernels->scalar(context, values.data(), nulls.get(), out, &is_null);
      if (is_null) return "\\N";
      std::string text;
      types::output_text(out, resolved.result, statement.io_context, text);
      // A cast of bool to text gives the word, its output function the letter.
      if (resolved.result.oid == oid::kBool) return out.boolean ? "true" : "false";
      // Of the three-way comparisons only the sign is promised.
      if (f.name.ends_with("cmp")) return out.i32 < 0 ? "-" : (out.i32 > 0 ? "+" : "0");
      if (resolved.result.oid == oid::kBpchar) text.erase(text.find_last_not_of(' ') + 1);
      return text;
    } catch (const Error& e) {
      return "ERROR " + std::string{e.state.text()};
    }
  }
};

TEST(Functions, AnswerAsPostgresDoes) {
  std::map<Oid, std::pair<int, int>> by_function;  // wrong, all
  std::size_t wrong = 0, all = 0;
  std::ostringstream report;
  for (const auto& r : read_tsv("cases/functions.tsv")) {
    const auto* f = Registry::instance().function(static_cast<Oid>(std::stoul(r[0])));
    if (f == nullptr) {
      ADD_FAILURE() << r[1] << " is not declared";
      continue;
    }
    std::vector<TypeRef> argument_types;
    for (const std::string& t : split(r[2], ','))
      argument_types.push_back(types::make_type(static_cast<Oid>(std::stoul(t))));
    const std::vector<std::string> texts{r.begin() + 3, r.end() - 1};
    std::string got;
    try {
      Caller caller;
      got = caller.call(*f, argument_types, texts);
    } catch (const Error& e) {
      got = "INPUT " + e.message;
    }
    if (f->name.ends_with("cmp") && got.size() == 1) {
      const char sign = r.back()[0] == '-' ? '-' : (r.back() == "0" ? '0' : '+');
      got = got[0] == sign ? r.back() : got;
    }
    ++all;
    if (got == r.back()) continue;
    if (++wrong <= 400) {
      report << f->oid << " " << f->name << "(";
      for (const auto& t : texts) report << t << "; ";
      report << ") = " << got << ", PostgreSQL: " << r.back() << "\n";
    }
  }
  EXPECT_EQ(wrong, 0u) << "of " << all << "\n" << report.str();
  EXPECT_GT(all, 2000u);
}

// ---- vector kernels against scalar kernels
// ----------------------------------------------------------------------
class Values {
 public:
  explicit Values(std::uint64_t seed) : random_(seed) {}
  std::uint64_t number(std::uint64_t below) { return random_() % below; }
  Datum value(const TypeRef& type, Arena& arena) {
    const std::int64_t edges[] = {0,         1,         -1,        2,         7,         100,
                                  INT16_MAX, INT16_MIN, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    const std::int64_t n =
        number(3) == 0 ? edges[number(std::size(edges))] : static_cast<std::int64_t>(number(2000)) - 1000;
    switch (type.phys) {
      case Phys::kBool: return Datum::of((n & 1) != 0);
      case Phys::kI8: {
        Datum d;
        d.i8 = static_cast<std::int8_t>(n);
        return d;
      }
      case Phys::kI16: return Datum::of(static_cast<std::int16_t>(n));
      case Phys::kI32: return Datum::of(static_cast<std::int32_t>(n));
      case Phys::kU32: return Datum::of(static_cast<std::uint32_t>(n));
      case Phys::kI64: return Datum::of(n);
      case Phys::kU64: return Datum::of(static_cast<std::uint64_t>(n));
      case Phys::kF32:
        return Datum::of(number(10) == 0 ? std::numeric_limits<float>::quiet_NaN()
                                         : static_cast<float>(n) / 4);
      case Phys::kF64:
        return Datum::of(number(10) == 0 ? std::numeric_limits<double>::infinity()
                                         : static_cast<double>(n) / 4);
      case Phys::kNumeric:
        return Datum::of(types::numeric_from_int128(n, static_cast<int>(number(4)), arena));
      case Phys::kInterval:
        return Datum::of(types::Interval{n % 1000000, static_cast<std::int32_t>(n % 100),
                                         static_cast<std::int32_t>(n % 20)});
      case Phys::kTimeTz:
        return Datum::of(types::TimeTz{(n & 0xFFFF) * 1000000 % 86400000000,
                                       static_cast<std::int32_t>(number(3)) * 3600, 0});
      case Phys::kU128: return Datum::of(types::Uuid{number(3), number(3)});
      case Phys::kStr: {
        std::string s;
        for (std::uint64_t i = number(18); i > 0; --i) s += static_cast<char>("ab%_ c"[number(6)]);
        return Datum::of(types::Str::copy(s, arena));
      }
      default: return Datum::of(types::Int128{n});
    }
  }

 private:
  std::mt19937_64 random_;
};

struct Column {
  types::Vector vector;
  std::vector<std::uint32_t> codes;
  std::unique_ptr<char[]> data;
};
Column make_column(Values& random, const TypeRef& type, Arena& arena) {
  Column c;
  c.data = std::make_unique<char[]>(16 * types::kVectorSize + 64);
  char* data = c.data.get() + (64 - reinterpret_cast<std::uintptr_t>(c.data.get()) % 64) % 64;
  types::Vector& v = c.vector;
  v.phys = type.phys;
  v.width = types::width_of(type.phys);
  v.data = data;
  const auto form = random.number(3);
  v.form = form == 0 ? Form::kFlat : (form == 1 ? Form::kConst : Form::kDict);
  const std::uint32_t n = v.form == Form::kFlat ? types::kVectorSize : (v.form == Form::kConst ? 1 : 5);
  for (std::uint32_t i = 0; i < n; ++i)
    types::store_datum(data + i * v.width, random.value(type, arena), v.width);
  if (v.form == Form::kDict) {
    for (std::uint32_t i = 0; i < types::kVectorSize; ++i)
      c.codes.push_back(static_cast<std::uint32_t>(random.number(5)));
    v.codes = c.codes.data();
    v.dict_size = 5;
  }
  return c;
}

/// Runs both kernels on the selected rows; where the vector kernel throws, some row of the scalar kernel must
/// throw too.
void compare_kernels(const FunctionDeclaration& f, std::uint64_t seed) {
  Values random{seed};
  Arena arena;
  TestContext statement;
  std::vector<TypeRef> argument_types;
  for (const Oid o : f.arguments) argument_types.push_back(types::make_type(o));
  std::vector<Column> columns;
  std::vector<types::Vector> args;
  for (const TypeRef& t : argument_types) {
    columns.push_back(make_column(random, t, arena));
    args.push_back(columns.back().vector);
  }
  std::vector<std::uint16_t> rows;
  for (std::uint32_t row = 0; row < types::kVectorSize; ++row)
    if (random.number(4) == 0) rows.push_back(static_cast<std::uint16_t>(row));
  const bool all = random.number(2) == 0;
  const types::Selection selection =
      all ? types::Selection{nullptr, 300}
          : types::Selection{rows.data(), static_cast<std::uint32_t>(rows.size())};
  EvalContext context;
  context.arena = &arena;
  context.statement = &statement;
  context.argument_types = argument_types;
  context.result_type = types::make_type(f.result);
  context.function = &f;
  types::VectorBuffer buffer{context.result_type.phys};
  types::Vector out = buffer.flat();
  bool vector_threw = false;
  try {
    f.kernels.vector(context, args.data(), static_cast<std::uint32_t>(args.size()), selection,
                     types::kVectorSize, out, buffer.fresh_validity());
  } catch (const Error&) {
    vector_threw = true;
  }
  bool scalar_threw = false;
  for (std::uint32_t i = 0; i < selection.count; ++i) {
    const auto row = selection[i];
    std::vector<Datum> values;
    for (const auto& a : args) values.push_back(a.datum(row));
    const bool nulls[8] = {};
    Datum expected;
    bool is_null = false;
    try {
      f.kernels.scalar(context, values.data(), nulls, expected, &is_null);
    } catch (const Error&) {
      scalar_threw = true;
      continue;
    }
    if (vector_threw) continue;
    const Datum got = out.datum(row);
    ASSERT_TRUE(types::equal(got, expected, context.result_type))
        << f.name << " row " << row << " seed " << seed;
  }
  ASSERT_EQ(vector_threw, scalar_threw) << f.name << " seed " << seed;
  if (!f.is(kCanError)) ASSERT_FALSE(vector_threw) << f.name;
}

TEST(Kernels, VectorAndScalarAgree) {
  std::size_t functions = 0;
  for (const FunctionDeclaration& f : Registry::instance().all_functions()) {
    if (f.kernels.vector == nullptr || f.arguments.empty()) continue;
    ++functions;
    for (std::uint64_t seed = 0; seed < 12; ++seed) compare_kernels(f, f.oid * 100 + seed);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(functions, 250u);
}

// ---- numeric with a static scale
// --------------------------------------------------------------------------------
TypeRef decimal(int precision, int scale) {
  return types::make_type(oid::kNumeric, types::numeric_typmod(precision, scale));
}

TEST(Resolve, ChoosesDecimalFormsByPrecision) {
  const Registry& r = Registry::instance();
  const TypeRef price = decimal(15, 2);
  ASSERT_EQ(price.phys, Phys::kD64);
  const auto sum = resolve_kernels(*r.function(1724), std::vector{price, decimal(10, 4)});
  EXPECT_EQ(sum.result.phys, Phys::kD64);
  EXPECT_EQ(sum.result.scale, 4);
  EXPECT_EQ(sum.arguments[0].scale, 4);
  const auto product = resolve_kernels(*r.function(1726), std::vector{price, price});
  EXPECT_EQ(product.result.phys, Phys::kD128);
  EXPECT_EQ(product.result.scale, 4);
  EXPECT_EQ(product.arguments[0].phys, Phys::kD64);
  const auto cube = resolve_kernels(*r.function(1726), std::vector{product.result, price});
  EXPECT_EQ(cube.result.phys, Phys::kNumeric);
  EXPECT_EQ(cube.arguments[0].phys, Phys::kNumeric);
  const auto quotient = resolve_kernels(*r.function(1727), std::vector{price, price});
  EXPECT_EQ(quotient.arguments[1].phys, Phys::kNumeric);
  const auto total = resolve_kernels(*r.aggregate(2114), std::vector{price});
  EXPECT_EQ(total.result.phys, Phys::kD128);
  EXPECT_EQ(total.result.scale, 2);
}

TEST(Resolve, BindsPolymorphicTypes) {
  const Registry& r = Registry::instance();
  const auto appended = resolve_kernels(
      *r.function(378), std::vector{types::make_type(oid::kInt4Array), types::make_type(oid::kInt4)});
  EXPECT_EQ(appended.result.oid, oid::kInt4Array);
  const auto collected = resolve_kernels(*r.aggregate(2335), std::vector{types::make_type(oid::kText)});
  EXPECT_EQ(collected.result.oid, oid::kTextArray);
}

// ---- aggregates
// -------------------------------------------------------------------------------------------------
std::string aggregate(Oid aggregate_oid, const TypeRef& type, const std::vector<std::string>& texts,
                      std::size_t parts) {
  Arena arena;
  TestContext statement;
  statement.io_context.arena = &arena;
  const auto resolved = resolve_kernels(*Registry::instance().aggregate(aggregate_oid), std::vector{type});
  const AggregateKernels& k = *resolved.kernels;
  EvalContext context;
  context.arena = &arena;
  context.statement = &statement;
  context.argument_types = resolved.arguments;
  context.result_type = resolved.result;
  void* total = arena.allocate(k.state_bytes, 16);
  k.init(total);
  for (std::size_t p = 0; p < parts; ++p) {
    types::VectorBuffer buffer{type.phys};
    types::Vector v = buffer.flat();
    std::uint32_t n = 0;
    for (std::size_t i = p; i < texts.size(); i += parts)
      types::store_datum(static_cast<char*>(v.data) + v.width * n++,
                         types::input_text(texts[i], type, statement.io_context), v.width);
    void* state = arena.allocate(k.state_bytes, 16);
    k.init(state);
    k.update_all(context, state, &v, {nullptr, n});
    if (k.serialize != nullptr) {
      Bytes bytes;
      k.serialize(state, bytes);
      ByteReader reader{bytes};
      k.deserialize(context, reader, state);
      EXPECT_TRUE(reader.ok() && reader.at_end());
    }
    k.combine(context, total, state);
  }
  Datum out;
  bool is_null = false;
  k.finalize(context, total, out, &is_null);
  if (is_null) return "\\N";
  std::string text;
  types::output_text(out, resolved.result, statement.io_context, text);
  return text;
}

TEST(Aggregates, AnswerAsPostgresDoesWholeAndInParts) {
  struct Case {
    Oid oid;
    TypeRef type;
    std::vector<std::string> values;
    std::string expected;
  };
  const TypeRef int4 = types::make_type(oid::kInt4), int8 = types::make_type(oid::kInt8),
                float8 = types::make_type(oid::kFloat8), numeric = types::make_type(oid::kNumeric),
                text = types::make_type(oid::kText);
  const Case cases[] = {
      {2108, int4, {"1", "2", "2147483647"}, "2147483650"},
      {2107, int8, {"9223372036854775807", "9223372036854775807"}, "18446744073709551614"},
      {2101, int4, {"1", "2", "2"}, "1.6666666666666667"},
      {2101, int4, {"1", "0", "0"}, "0.33333333333333333333"},
      {2103, numeric, {"1.50", "2.5", "1e30"}, "333333333333333333333333333334.67"},
      {2114, numeric, {"1.5", "2.25", "-1e40"}, "-9999999999999999999999999999999999999996.25"},
      {2114, numeric, {"1", "NaN"}, "NaN"},
      {2114, decimal(15, 2), {"1.5", "2.25"}, "3.75"},
      {2103, decimal(15, 2), {"1.5", "2.25"}, "1.8750000000000000"},
      {2130, decimal(15, 2), {"1.5", "2.25", "-7"}, "2.25"},
      {2114, decimal(30, 2), {"1.5", "2.25"}, "3.75"},
      {2105, float8, {"1", "2.5"}, "1.75"},
      {2129, text, {"abc", "a string that is long", "b"}, "b"},
      {2145, text, {"abc", "a string that is long", "b"}, "a string that is long"},
      {2155, int4, {"1", "2", "3", "4"}, "1.2909944487358056"},
      {2719, int4, {"1", "2", "3", "4"}, "1.2500000000000000"},
      {2158, float8, {"1", "2", "3", "4"}, "1.2909944487358056"},
      {2803, int4, {}, "0"},
      {2108, int4, {}, "\\N"},
  };
  for (const Case& c : cases) {
    for (const std::size_t parts : {1, 2, 3}) {
      SCOPED_TRACE(fmt::format("{} in {} parts", c.oid, parts));
      EXPECT_EQ(aggregate(c.oid, c.type, c.values, parts), c.expected);
    }
  }
  EXPECT_EQ(aggregate(2335, int4, {"1", "2", "3"}, 1), "{1,2,3}");
}

TEST(Sets, GenerateSeriesInChunks) {
  const auto* f = Registry::instance().function(1067);  // generate_series(int4, int4)
  Arena arena;
  const TypeRef types_of[] = {types::make_type(oid::kInt4), types::make_type(oid::kInt4)};
  EvalContext context;
  context.arena = &arena;
  context.argument_types = types_of;
  const Datum args[] = {Datum::of(std::int32_t{INT32_MAX - 2500}), Datum::of(std::int32_t{INT32_MAX})};
  const bool nulls[] = {false, false};
  void* state = f->kernels.set.init(context, args, nulls);
  const Phys columns[] = {Phys::kI32};
  types::ChunkBuffer out{columns};
  std::uint64_t rows = 0;
  std::int64_t expected = INT32_MAX - 2500;
  while (const std::uint32_t n = f->kernels.set.next(context, state, out)) {
    for (std::uint32_t i = 0; i < n; ++i) ASSERT_EQ(out.chunk()[0].values<std::int32_t>()[i], expected++);
    rows += n;
  }
  EXPECT_EQ(rows, 2501u);
}

}  // namespace
}  // namespace rustbd::functions
