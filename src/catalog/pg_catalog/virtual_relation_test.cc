#include "rustbd/catalog/pg_catalog/virtual_relation.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "rustbd/catalog/pg_catalog/acl.h"
#include "rustbd/catalog/pg_catalog/operator_classes.h"
#include "rustbd/functions/registry.h"
#include "rustbd/txn/testing/test_database.h"

namespace rustbd::catalog {
namespace {

using TextRow = std::map<std::string, std::string>;  // column name to text; NULL is "\\N"

class FakeServer final : public ServerInformation {
 public:
  explicit FakeServer(txn::TransactionSystem& system) : system_(system) {}
  std::vector<ActivityRow> activity() override {
    ActivityRow a;
    a.pid = 1000;
    a.user = "postgres";
    a.client_address = "127.0.0.1:4000";
    a.backend_start_us = 946'684'800'000'000;
    return {a};
  }
  std::vector<txn::LockListEntry> locks() override {
    return {{txn::LockKey::table(20000, 5), 8, true, false, 1000, 7},
            {txn::LockKey::advisory(5, 42), 2, true, false, 1000, 0}};
  }
  std::vector<SettingRow> settings() override {
    return {
        {"work_mem", "4MB", "kB", "memory", "", "user", "integer", "1", "9", "4MB", "4MB", "default", {}}};
  }
  std::vector<PreparedRow> prepared_statements() override { return {{"p", "SELECT $1", 1, {23}, true}}; }
  std::vector<CursorRow> cursors() override { return {{"c", "SELECT 1", true, false, true, 0}}; }
  txn::TransactionSystem& transactions() override { return system_; }
  SequenceValue sequence_value(Oid) override { return {7, true}; }
  double live_rows(const Relation&) override { return 12; }
  double pages(const Relation&) override { return 3; }
  double index_pages(const Index&) override { return 2; }
  std::vector<std::pair<std::string, double>> metrics() override { return {{"rustbd_queries_total", 5}}; }
  std::int64_t start_time_us() override { return 1; }
  Oid current_role() override { return role; }
  std::int64_t now_us() override { return 946'684'800'000'000; }
  std::string expression_text(const Relation&, std::string_view sql, const types::TypeRef*) override {
    return std::string{sql};
  }
  std::string index_definition(const Index& index) override { return "index " + index.name; }
  std::string constraint_definition(const Relation&, const Constraint& k) override {
    return "constraint " + k.name;
  }
  std::string view_definition(const Relation& relation) override { return relation.view_sql; }
  Oid role = oid::kBootstrapRole;

 private:
  txn::TransactionSystem& system_;
};

/// A schema with a parent and a child table, an enum, a view and a sequence.
class PgCatalogTest : public testing::Test {
 protected:
  PgCatalogTest() {
    database_.open();
    std::vector<std::shared_ptr<const Relation>> builtin;
    for (const auto& v : virtual_relations()) builtin.push_back(v.relation);
    store_ = std::make_unique<CatalogStore>(database_.system(), std::move(builtin));
    server_ = std::make_unique<FakeServer>(database_.system());
    snapshot_ = *store_->committed();
    fill_snapshot();
  }
  ~PgCatalogTest() override { store_.reset(); }

  static Column column(AttributeNumber number, std::string name, Oid type, bool not_null = false) {
    Column c;
    c.number = number;
    c.name = std::move(name);
    c.type = types::make_type(type);
    c.not_null = not_null;
    return c;
  }
  static std::shared_ptr<Relation> relation(Oid id, std::string name, RelationKind kind) {
    auto r = std::make_shared<Relation>();
    r->oid = id;
    r->name = std::move(name);
    r->schema = oid::kPublic;
    r->schema_name = "public";
    r->kind = kind;
    r->row_type = id + 1000;
    return r;
  }
  void fill_snapshot() {
    auto mood = std::make_shared<EnumType>();
    mood->oid = 30000;
    mood->array_oid = 30001;
    mood->schema = oid::kPublic;
    mood->name = "mood";
    mood->labels = {{30002, 10, "sad"}, {30003, 20, "ok"}};
    snapshot_.put(std::shared_ptr<const EnumType>(mood));

    auto child = relation(20000, "child", RelationKind::kTable);
    child->columns = {column(1, "id", types::oid::kInt4, true), column(2, "gone", types::oid::kText),
                      column(3, "parent", types::oid::kInt4), column(4, "feeling", 30000)};
    child->columns[1].dropped = true;
    child->columns[2].default_sql = "5";
    child->columns[2].default_oid = 20005;
    auto index = std::make_shared<Index>();
    index->oid = 20001;
    index->name = "child_pkey";
    index->relation = 20000;
    index->schema = oid::kPublic;
    index->unique = index->primary = true;
    index->constraint = 20002;
    index->columns = {{1, {}, child->columns[0].type, false, false, 0}};
    child->indexes = {index};
    auto primary = std::make_shared<Constraint>();
    primary->oid = 20002;
    primary->name = "child_pkey";
    primary->schema = oid::kPublic;
    primary->relation = 20000;
    primary->type = ConstraintType::kPrimaryKey;
    primary->columns = {1};
    primary->index = 20001;
    auto foreign = std::make_shared<Constraint>(*primary);
    foreign->oid = 20003;
    foreign->name = "child_parent_fkey";
    foreign->type = ConstraintType::kForeignKey;
    foreign->columns = {3};
    foreign->referenced_relation = 20000;
    foreign->referenced_columns = {1};
    foreign->on_delete = 'c';
    child->constraints = {primary, foreign};
    child->acl = "{postgres=arwdDxt/postgres,reader=r/postgres}";
    snapshot_.put(std::shared_ptr<const Relation>(child));

    auto view = relation(20010, "v", RelationKind::kView);
    view->columns = {column(1, "id", types::oid::kInt4)};
    view->view_sql = "SELECT id FROM child";
    snapshot_.put(std::shared_ptr<const Relation>(view));
    auto sequence = relation(20020, "s", RelationKind::kSequence);
    sequence->sequence.emplace();
    sequence->sequence->owner_relation = 20000;
    sequence->sequence->owner_column = 1;
    snapshot_.put(std::shared_ptr<const Relation>(sequence));

    Role reader;
    reader.oid = 40000;
    reader.name = "reader";
    reader.login = true;
    snapshot_.put(reader);
  }

  std::vector<TextRow> rows(const VirtualRelation& v) {
    RowCollector collector{*v.relation};
    VirtualContext context{snapshot_, *store_, *server_};
    v.fill(context, collector);
    std::vector<TextRow> out;
    types::IoContext io;
    for (const auto& buffer : collector.take()) {
      const auto& chunk = buffer->chunk();
      for (std::uint32_t i = 0; i < chunk.count(); ++i) {
        TextRow row;
        for (const auto& c : v.relation->columns) {
          const auto& vector = chunk[static_cast<std::size_t>(c.number - 1)];
          std::string text = "\\N";
          if (vector.is_valid(i)) {
            text.clear();
            types::output_text(vector.datum(i), c.type, io, text);
          }
          row[c.name] = std::move(text);
        }
        out.push_back(std::move(row));
      }
    }
    return out;
  }
  std::vector<TextRow> rows(std::string_view name, std::string_view schema = "pg_catalog") {
    for (const auto& v : virtual_relations())
      if (v.relation->name == name && v.relation->schema_name == schema) return rows(v);
    ADD_FAILURE() << "no relation " << name;
    return {};
  }
  static std::vector<TextRow> where(std::vector<TextRow> rows, const std::string& column,
                                    const std::string& value) {
    std::erase_if(rows, [&](const TextRow& r) { return r.at(column) != value; });
    return rows;
  }

  txn::testing::TestDatabase database_{7};
  std::unique_ptr<CatalogStore> store_;
  std::unique_ptr<FakeServer> server_;
  CatalogSnapshot snapshot_;
};

TEST_F(PgCatalogTest, HasPostgreSqlsOidsAndColumns) {
  const auto* pg_class = find_virtual(1259);
  ASSERT_NE(pg_class, nullptr);
  EXPECT_EQ(pg_class->relation->name, "pg_class");
  EXPECT_EQ(pg_class->relation->columns[0].name, "oid");
  EXPECT_EQ(pg_class->relation->columns[16].name, "relkind");
  EXPECT_EQ(pg_class->relation->row_type, 83u);
  EXPECT_EQ(find_virtual(1), nullptr);
}

TEST_F(PgCatalogTest, EveryRelationFills) {
  std::size_t count = 0;
  for (const auto& v : virtual_relations()) {
    SCOPED_TRACE(v.relation->name);
    count += rows(v).size();
  }
  EXPECT_GT(count, 5000u);
}

TEST_F(PgCatalogTest, OidsAreUnique) {
  for (const auto& v : virtual_relations()) {
    if (v.relation->columns[0].name != "oid") continue;
    SCOPED_TRACE(v.relation->name);
    std::set<std::string> seen;
    for (const auto& r : rows(v)) EXPECT_TRUE(seen.insert(r.at("oid")).second) << r.at("oid");
  }
}

TEST_F(PgCatalogTest, ReferencesPointToRows) {
  std::set<std::string> classes, types_seen, schemas, functions;
  for (const auto& r : rows("pg_class")) classes.insert(r.at("oid"));
  for (const auto& r : rows("pg_type")) types_seen.insert(r.at("oid"));
  for (const auto& r : rows("pg_namespace")) schemas.insert(r.at("oid"));
  for (const auto& r : rows("pg_class"))
    EXPECT_TRUE(schemas.contains(r.at("relnamespace"))) << r.at("relname");
  for (const auto& r : rows("pg_attribute"))
    EXPECT_TRUE(classes.contains(r.at("attrelid"))) << r.at("attname");
  for (const auto& r : rows("pg_attribute")) {
    const bool built_in = std::stoul(r.at("atttypid")) < oid::kFirstUserObject;
    EXPECT_TRUE(built_in || types_seen.contains(r.at("atttypid"))) << r.at("attname");
  }
  for (const auto& r : rows("pg_index"))
    EXPECT_TRUE(classes.contains(r.at("indexrelid")) && classes.contains(r.at("indrelid")));
  for (const auto& r : rows("pg_type")) {
    EXPECT_TRUE(r.at("typarray") == "0" || types_seen.contains(r.at("typarray"))) << r.at("typname");
    EXPECT_TRUE(r.at("typrelid") == "0" || classes.contains(r.at("typrelid"))) << r.at("typname");
  }
  for (const auto& r : rows("pg_proc")) functions.insert(r.at("oid"));
  for (const auto& r : rows("pg_operator"))
    EXPECT_TRUE(functions.contains(r.at("oprcode"))) << r.at("oprname");
  for (const auto& r : rows("pg_type"))
    EXPECT_TRUE(r.at("typinput") == "0" || functions.contains(r.at("typinput"))) << r.at("typname");
}

TEST_F(PgCatalogTest, TableWithItsParts) {
  const auto table = where(rows("pg_class"), "relname", "child");
  ASSERT_EQ(table.size(), 1u);
  EXPECT_EQ(table[0].at("relkind"), "r");
  EXPECT_EQ(table[0].at("relhasindex"), "t");
  EXPECT_EQ(table[0].at("relhastriggers"), "t");
  EXPECT_EQ(table[0].at("relnatts"), "4");
  EXPECT_EQ(table[0].at("relacl"), "{postgres=arwdDxt/postgres,reader=r/postgres}");
  const auto columns = where(rows("pg_attribute"), "attrelid", "20000");
  ASSERT_EQ(columns.size(), 6u);  // and tableoid, ctid
  EXPECT_EQ(columns[1].at("attname"), "........pg.dropped.2........");
  EXPECT_EQ(columns[1].at("atttypid"), "0");
  EXPECT_EQ(columns[2].at("atthasdef"), "t");
  EXPECT_EQ(columns[3].at("attlen"), "4");
  const auto index = where(rows("pg_index"), "indexrelid", "20001");
  ASSERT_EQ(index.size(), 1u);
  EXPECT_EQ(index[0].at("indkey"), "1");
  EXPECT_EQ(index[0].at("indclass"), "1978");  // int4_ops
  EXPECT_EQ(index[0].at("indoption"), "0");
  const auto foreign = where(rows("pg_constraint"), "conname", "child_parent_fkey");
  ASSERT_EQ(foreign.size(), 1u);
  EXPECT_EQ(foreign[0].at("conkey"), "{3}");
  EXPECT_EQ(foreign[0].at("confkey"), "{1}");
  EXPECT_EQ(foreign[0].at("confdeltype"), "c");
  EXPECT_EQ(foreign[0].at("conpfeqop"), "{96}");  // int4 = int4
}

TEST_F(PgCatalogTest, EnumsHaveTypeArrayAndLabels) {
  EXPECT_EQ(where(rows("pg_type"), "typname", "mood")[0].at("typarray"), "30001");
  EXPECT_EQ(where(rows("pg_type"), "typname", "_mood")[0].at("typelem"), "30000");
  const auto labels = where(rows("pg_enum"), "enumtypid", "30000");
  ASSERT_EQ(labels.size(), 2u);
  EXPECT_EQ(labels[1].at("enumlabel"), "ok");
  EXPECT_EQ(labels[1].at("enumsortorder"), "2");
}

TEST_F(PgCatalogTest, OwnedSequenceDependsOnItsColumn) {
  auto found = where(where(rows("pg_depend"), "objid", "20020"), "refobjid", "20000");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].at("refobjsubid"), "1");
  EXPECT_EQ(found[0].at("deptype"), "a");
}

TEST_F(PgCatalogTest, InformationSchemaShowsWhatTheRoleMaySee) {
  EXPECT_EQ(where(rows("tables", "information_schema"), "table_name", "child").size(), 1u);
  const auto columns = where(rows("columns", "information_schema"), "table_name", "child");
  ASSERT_EQ(columns.size(), 3u);
  EXPECT_EQ(columns[0].at("is_nullable"), "NO");
  EXPECT_EQ(columns[0].at("numeric_precision"), "32");
  EXPECT_EQ(columns[1].at("column_default"), "5");
  EXPECT_EQ(columns[2].at("data_type"), "USER-DEFINED");
  EXPECT_EQ(columns[2].at("udt_name"), "mood");
  const auto rule =
      where(rows("referential_constraints", "information_schema"), "constraint_name", "child_parent_fkey");
  ASSERT_EQ(rule.size(), 1u);
  EXPECT_EQ(rule[0].at("delete_rule"), "CASCADE");
  EXPECT_EQ(rule[0].at("unique_constraint_name"), "child_pkey");

  server_->role = 40000;  // reader: SELECT on child, nothing on v
  EXPECT_EQ(where(rows("tables", "information_schema"), "table_name", "child").size(), 1u);
  EXPECT_TRUE(where(rows("tables", "information_schema"), "table_name", "v").empty());
  EXPECT_TRUE(
      where(rows("referential_constraints", "information_schema"), "constraint_name", "child_parent_fkey")
          .size() == 1);
}

TEST_F(PgCatalogTest, PasswordsAreForSuperusers) {
  EXPECT_FALSE(rows("pg_authid").empty());
  EXPECT_FALSE(rows("pg_roles").empty());
  server_->role = 40000;
  EXPECT_FALSE(rows("pg_roles").empty());
  EXPECT_THROW(rows("pg_authid"), Error);
  EXPECT_THROW(rows("pg_shadow"), Error);
}

TEST_F(PgCatalogTest, LocksByKind) {
  const auto locks = rows("pg_locks");
  ASSERT_EQ(locks.size(), 2u);
  EXPECT_EQ(locks[0].at("relation"), "20000");
  EXPECT_EQ(locks[0].at("mode"), "AccessExclusiveLock");
  EXPECT_EQ(locks[1].at("locktype"), "advisory");
  EXPECT_EQ(locks[1].at("objid"), "42");
  EXPECT_EQ(locks[1].at("objsubid"), "1");
}

TEST(AclTest, ReadsGrantees) {
  const auto items = parse_acl(R"({postgres=ar*w/postgres,=r/postgres,"\"a b\"=x/\"c,d\""})");
  ASSERT_EQ(items.size(), 3u);
  EXPECT_EQ(items[0].letters, "arw");
  EXPECT_EQ(items[0].grantable, "r");
  EXPECT_EQ(items[1].grantee, "");
  EXPECT_EQ(items[2].grantee, "a b");
  EXPECT_EQ(items[2].grantor, "c,d");
}

TEST(OperatorClassTest, Defaults) {
  EXPECT_EQ(operator_class_name(default_operator_class(types::oid::kVarchar, oid::kBtree)), "text_ops");
  EXPECT_EQ(operator_class_name(default_operator_class(types::oid::kInt4Array, oid::kBtree)), "array_ops");
  EXPECT_EQ(operator_class_name(default_operator_class(30000, oid::kBtree)), "enum_ops");
  EXPECT_EQ(expression_column_name("lower(name)"), "lower");
  EXPECT_EQ(expression_column_name("a + b"), "expr");
}

}  // namespace
}  // namespace rustbd::catalog
