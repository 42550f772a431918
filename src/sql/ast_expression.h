// Scalar expressions and type names. A null pointer means that the optional part is absent.
#pragma once

#include "rustbd/sql/ast_node.h"

namespace rustbd::sql {

struct SelectStatement;

/// `a`, `t.a`, `s.t.a`, `t.*` (star, fields = {t}), `*` (star, no fields). Subscripts are in Indirection.
struct ColumnRef : NodeOf<NodeKind::kColumnRef> {
  NameList fields;
  bool star = false;
};

/// `$n`.
struct ParameterRef : NodeOf<NodeKind::kParameterRef> {
  std::int32_t number = 0;
};

enum class LiteralType : std::uint8_t {
  kNull,
  kBoolean,  // `boolean`
  kInteger,  // fits int4: `integer`
  kNumeric,  // does not fit int4, or has a point or exponent: `text`, maybe with a leading '-'
  kString,   // `text`, of type unknown
  kBit,      // B'..': `text` has the digits
  kHex,      // X'..': `text` has the digits; its type is bit, too
};
struct Literal : NodeOf<NodeKind::kLiteral> {
  LiteralType type = LiteralType::kNull;
  bool boolean = false;
  std::int32_t integer = 0;
  std::string_view text;
};

/// A type as written. SQL spellings carry PostgreSQL's name: `int` is {"pg_catalog","int4"}, `char(3)` is
/// {"pg_catalog","bpchar"} with modifier 3 (bare `char` with modifier 1), `timestamp with time zone`
/// {"pg_catalog","timestamptz"}, `interval hour to second(2)` {"pg_catalog","interval"} with modifiers {mask,
/// 2} (PostgreSQL's interval mask), `float(24)` {"pg_catalog","float4"}. Other names are as written.
struct TypeName : NodeOf<NodeKind::kTypeName> {
  NameList name;
  NodeList modifiers;               // mostly integer literals
  List<std::int32_t> array_bounds;  // one per dimension; -1: no bound given
  bool set_of = false;
};

/// `x::t`, `CAST(x AS t)` and typed literals `t 'x'` (argument: a string Literal).
struct TypeCast : NodeOf<NodeKind::kTypeCast> {
  Node* argument = nullptr;
  TypeName* type = nullptr;
};

struct CollateExpression : NodeOf<NodeKind::kCollateExpression> {
  Node* argument = nullptr;
  NameList collation;
};

/// AND or OR; chains of one kind are flat: `a AND b AND c` has three arguments.
struct BoolExpression : NodeOf<NodeKind::kBoolExpression> {
  bool is_or = false;
  NodeList arguments;
};

struct NotExpression : NodeOf<NodeKind::kNotExpression> {
  Node* argument = nullptr;
};

/// `left op right` or, without left, `op right`. `schema` only from OPERATOR(schema.op). `!=` is stored as
/// `<>`.
struct OperatorExpression : NodeOf<NodeKind::kOperatorExpression> {
  NameList schema;
  std::string_view op;
  Node* left = nullptr;
  Node* right = nullptr;
};

/// `left op ANY (array)`, `left op ALL (array)`; with LIKE the op is ~~ (ILIKE ~~*, NOT: !~~, !~~*).
struct AnyAllExpression : NodeOf<NodeKind::kAnyAllExpression> {
  NameList schema;
  std::string_view op;
  bool all = false;
  Node* left = nullptr;
  Node* array = nullptr;
};

enum class SubLinkType : std::uint8_t { kExists, kScalar, kArray, kAny, kAll };
/// A subquery in an expression. `x IN (query)` is kAny with an empty `op` (meaning =); NOT IN is a
/// NotExpression around it. `test` and `op` only for kAny and kAll.
struct SubLink : NodeOf<NodeKind::kSubLink> {
  SubLinkType type = SubLinkType::kScalar;
  Node* test = nullptr;
  NameList schema;
  std::string_view op;
  SelectStatement* query = nullptr;
};

/// `x [NOT] IN (a, b, …)`.
struct InExpression : NodeOf<NodeKind::kInExpression> {
  Node* argument = nullptr;
  NodeList items;
  bool negated = false;
};

struct BetweenExpression : NodeOf<NodeKind::kBetweenExpression> {
  Node* argument = nullptr;
  Node* low = nullptr;
  Node* high = nullptr;
  bool negated = false;
  bool symmetric = false;
};

enum class LikeType : std::uint8_t { kLike, kILike, kSimilar };
/// LIKE means operator ~~ (NOT: !~~), ILIKE ~~*; with ESCAPE the pattern goes through like_escape. SIMILAR TO
/// is
/// `~ similar_to_escape(pattern [, escape])`.
struct LikeExpression : NodeOf<NodeKind::kLikeExpression> {
  LikeType type = LikeType::kLike;
  bool negated = false;
  Node* argument = nullptr;
  Node* pattern = nullptr;
  Node* escape = nullptr;
};

/// `x IS [NOT] NULL`, `ISNULL`, `NOTNULL`.
struct NullTest : NodeOf<NodeKind::kNullTest> {
  Node* argument = nullptr;
  bool negated = false;
};

enum class BooleanTestType : std::uint8_t { kTrue, kFalse, kUnknown };
struct BooleanTest : NodeOf<NodeKind::kBooleanTest> {
  Node* argument = nullptr;
  BooleanTestType type = BooleanTestType::kTrue;
  bool negated = false;
};

/// `left IS [NOT] DISTINCT FROM right`.
struct DistinctExpression : NodeOf<NodeKind::kDistinctExpression> {
  Node* left = nullptr;
  Node* right = nullptr;
  bool negated = false;
};

/// `x IS [NOT] [NFC|NFD|NFKC|NFKD] NORMALIZED`; form empty: not given.
struct NormalizedTest : NodeOf<NodeKind::kNormalizedTest> {
  Node* argument = nullptr;
  std::string_view form;
  bool negated = false;
};
struct DocumentTest : NodeOf<NodeKind::kDocumentTest> {
  Node* argument = nullptr;
  bool negated = false;
};

struct CaseWhen {
  Node* condition = nullptr;
  Node* result = nullptr;
  std::int32_t location = -1;
};
struct CaseExpression : NodeOf<NodeKind::kCaseExpression> {
  Node* argument = nullptr;
  List<CaseWhen> whens;
  Node* otherwise = nullptr;
};

struct CoalesceExpression : NodeOf<NodeKind::kCoalesceExpression> {
  NodeList arguments;
};
struct MinMaxExpression : NodeOf<NodeKind::kMinMaxExpression> {
  bool greatest = false;
  NodeList arguments;
};
struct NullIfExpression : NodeOf<NodeKind::kNullIfExpression> {
  Node* left = nullptr;
  Node* right = nullptr;
};

/// ORDER BY item: of queries, aggregates, windows.
enum class SortDirection : std::uint8_t { kDefault, kAscending, kDescending, kUsing };
enum class SortNulls : std::uint8_t { kDefault, kFirst, kLast };
struct SortItem : NodeOf<NodeKind::kSortItem> {
  Node* value = nullptr;
  SortDirection direction = SortDirection::kDefault;
  SortNulls nulls = SortNulls::kDefault;
  NameList using_schema;  // kUsing only
  std::string_view using_op;
};

enum class FrameMode : std::uint8_t { kNone, kRange, kRows, kGroups };
enum class FrameBound : std::uint8_t {
  kUnboundedPreceding,
  kOffsetPreceding,
  kCurrentRow,
  kOffsetFollowing,
  kUnboundedFollowing,
};
enum class FrameExclusion : std::uint8_t { kNoOthers, kCurrentRow, kGroup, kTies };
/// `OVER name` has only `reference` and is_reference_only; `OVER (name …)` has `reference` as base; a WINDOW
/// clause item has `name`.
struct WindowDefinition : NodeOf<NodeKind::kWindowDefinition> {
  std::string_view name;
  std::string_view reference;
  bool is_reference_only = false;
  NodeList partition_by;
  List<SortItem*> order_by;
  FrameMode frame = FrameMode::kNone;  // kNone: no frame clause
  bool frame_between = false;
  FrameBound start = FrameBound::kUnboundedPreceding;
  FrameBound end = FrameBound::kCurrentRow;
  Node* start_offset = nullptr;
  Node* end_offset = nullptr;
  FrameExclusion exclusion = FrameExclusion::kNoOthers;
};

/// `name => value` or `name := value` among a FunctionCall's arguments.
struct NamedArgument : NodeOf<NodeKind::kNamedArgument> {
  std::string_view name;
  Node* value = nullptr;
};

/// Every call. Special forms become calls as in PostgreSQL, with sql_syntax set: EXTRACT(f FROM x) is
/// pg_catalog.extract('f', x); POSITION(a IN b) position(b, a); SUBSTRING(x FROM a FOR b) substring(x, a, b);
/// SUBSTRING(x SIMILAR p ESCAPE e) substring(x, p, e); OVERLAY overlay; TRIM btrim/ltrim/rtrim;
/// NORMALIZE normalize; x AT TIME ZONE z timezone(z, x); COLLATION FOR (x) pg_collation_for; (a,b) OVERLAPS
/// (c,d) overlaps(a,b,c,d).
struct FunctionCall : NodeOf<NodeKind::kFunctionCall> {
  NameList name;
  NodeList arguments;
  bool star = false;  // count(*)
  bool distinct = false;
  bool variadic = false;      // the last argument is VARIADIC
  bool within_group = false;  // order_by came from WITHIN GROUP (…)
  bool sql_syntax = false;
  List<SortItem*> order_by;
  Node* filter = nullptr;
  WindowDefinition* over = nullptr;
};

enum class SqlValueFunctionType : std::uint8_t {
  kCurrentDate,
  kCurrentTime,
  kCurrentTimestamp,
  kLocalTime,
  kLocalTimestamp,
  kCurrentRole,
  kCurrentUser,
  kUser,
  kSessionUser,
  kCurrentCatalog,
  kCurrentSchema,
};
struct SqlValueFunction : NodeOf<NodeKind::kSqlValueFunction> {
  SqlValueFunctionType type = SqlValueFunctionType::kCurrentDate;
  std::int32_t precision = -1;  // -1: not given
};

/// `ROW(a, b)` or `(a, b)`.
struct RowExpression : NodeOf<NodeKind::kRowExpression> {
  NodeList fields;
  bool explicit_row = false;
};

/// `ARRAY[a, b]`; inner brackets of `ARRAY[[1],[2]]` are ArrayExpression elements.
struct ArrayExpression : NodeOf<NodeKind::kArrayExpression> {
  NodeList elements;
};

enum class IndirectionType : std::uint8_t { kField, kStar, kSubscript, kSlice };
struct IndirectionItem {
  IndirectionType type = IndirectionType::kField;
  std::string_view field;
  Node* lower = nullptr;  // kSlice: may be absent
  Node* upper = nullptr;  // kSubscript: the subscript; kSlice: may be absent
  std::int32_t location = -1;
};
/// `(x).field`, `x[1]`, `x[1:2]`, `(x).*`.
struct Indirection : NodeOf<NodeKind::kIndirection> {
  Node* base = nullptr;
  List<IndirectionItem> items;
};

struct GroupingFunction : NodeOf<NodeKind::kGroupingFunction> {
  NodeList arguments;
};

/// DEFAULT in VALUES, SET.
struct DefaultMarker : NodeOf<NodeKind::kDefaultMarker> {};

/// WHERE CURRENT OF cursor.
struct CurrentOf : NodeOf<NodeKind::kCurrentOf> {
  std::string_view cursor;
};

/// Valid in PostgreSQL, not run here (XMLELEMENT and its kin). `text` is the source text of the whole
/// expression.
struct UnsupportedExpression : NodeOf<NodeKind::kUnsupportedExpression> {
  std::string_view name;
  std::string_view text;
};

}  // namespace rustbd::sql
