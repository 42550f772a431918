#include "rustbd/log/events.h"

#include <gtest/gtest.h>

#include "rustbd/io/executor.h"

namespace rustbd::log {
namespace {

struct Model {
  EventOp op;
  TableId table;
  RowId row;
  Bytes body;
};

Bytes random_bytes(io::SeededRandom& random, std::size_t below) {
  Bytes bytes(random.below(below));
  random.fill(bytes);
  return bytes;
}

void expect_equal(const EventWriter& writer, const std::vector<Model>& model) {
  EventReader reader{writer.bytes()};
  Event event;
  std::size_t i = 0;
  for (; reader.next(event); ++i) {
    ASSERT_LT(i, model.size());
    EXPECT_EQ(event.op, model[i].op);
    EXPECT_EQ(event.table, model[i].table);
    EXPECT_EQ(event.row, model[i].row);
    EXPECT_EQ(as_chars(event.body), as_chars(model[i].body));
  }
  EXPECT_TRUE(reader.ok());
  EXPECT_EQ(i, model.size());
  EXPECT_EQ(writer.count(), model.size());
}

TEST(Events, RandomSequencesWithSavepointsMatchAModel) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    io::SeededRandom random{seed};
    EventWriter writer;
    std::vector<Model> model;
    std::vector<std::pair<EventWriter::Position, std::size_t>> savepoints;
    for (int step = 0; step < 60; ++step) {
      const auto what = random.below(10);
      if (what == 0) {
        savepoints.emplace_back(writer.position(), model.size());
      } else if (what == 1 && !savepoints.empty()) {
        writer.cut_to(savepoints.back().first);
        model.resize(savepoints.back().second);
        savepoints.pop_back();
      } else {
        Model m{static_cast<EventOp>(1 + random.below(8)),
                TableId{static_cast<std::uint32_t>(random.below(3) << 14)},
                RowId{random.chance(100) ? random.next_u64() : random.below(1000)}, random_bytes(random, 40)};
        writer.add(m.op, m.table, m.row, m.body);
        model.push_back(std::move(m));
      }
    }
    expect_equal(writer, model);
    writer.clear();
    expect_equal(writer, {});
  }
}

TEST(Events, UpdateBodyHoldsChangedColumnsOnly) {
  std::vector<ColumnForm> forms(11, {ValueForm::kInteger, 0});
  forms[9] = {ValueForm::kVariable, 0};
  const std::vector<std::uint16_t> changed{0, 8, 9};
  std::vector<ColumnValue> before(3), after(3);
  before[0] = {false, 1, {}};
  before[2] = {false, 0, as_bytes("old")};
  after[0] = {false, INT64_MIN, {}};
  after[1] = {false, INT64_MAX, {}};
  Bytes bytes;
  ByteWriter out{bytes};
  write_update_body(out, forms, changed, before, after);
  ByteReader in{bytes};
  std::vector<std::uint16_t> changed_back;
  std::vector<ColumnValue> before_back, after_back;
  ASSERT_TRUE(read_update_body(in, forms, changed_back, before_back, after_back));
  EXPECT_TRUE(in.at_end());
  EXPECT_EQ(changed_back, changed);
  EXPECT_EQ(before_back[0].integer, 1);
  EXPECT_TRUE(before_back[1].is_null);
  EXPECT_EQ(as_chars(before_back[2].bytes), "old");
  EXPECT_EQ(after_back[0].integer, INT64_MIN);
  EXPECT_EQ(after_back[1].integer, INT64_MAX);
  EXPECT_TRUE(after_back[2].is_null);
}

TEST(Events, SpecialBodies) {
  EventWriter writer;
  writer.add_ddl(77, 2, "create table");
  writer.add_truncate(TableId{5}, TableId{900});
  writer.add_sequence(TableId{6}, -8, true);
  writer.add_message("p", as_bytes("content"));
  EventReader reader{writer.bytes()};
  Event event;
  ASSERT_TRUE(reader.next(event));
  DdlBody ddl;
  ASSERT_TRUE(read_ddl_body(event.body, ddl));
  EXPECT_EQ(ddl.object, 77u);
  EXPECT_EQ(ddl.kind, 2);
  EXPECT_EQ(ddl.text, "create table");
  ASSERT_TRUE(reader.next(event));
  TableId fresh;
  ASSERT_TRUE(read_truncate_body(event.body, fresh));
  EXPECT_EQ(event.table, TableId{5});
  EXPECT_EQ(fresh, TableId{900});
  ASSERT_TRUE(reader.next(event));
  SequenceBody sequence;
  ASSERT_TRUE(read_sequence_body(event.body, sequence));
  EXPECT_EQ(sequence.value, -8);
  EXPECT_TRUE(sequence.called);
  ASSERT_TRUE(reader.next(event));
  MessageBody message;
  ASSERT_TRUE(read_message_body(event.body, message));
  EXPECT_EQ(message.prefix, "p");
  EXPECT_EQ(as_chars(message.content), "content");
  EXPECT_FALSE(reader.next(event));
  EXPECT_TRUE(reader.ok());
}

// Goal: no input makes a decoder read over its end (the address sanitizer watches) or hang. Method: good
// bytes with random flips, cuts and noise; everything that still decodes is walked.
TEST(Events, MutatedBytesNeverHurt) {
  const std::vector<ColumnForm> forms{
      {ValueForm::kInteger, 0}, {ValueForm::kVariable, 0}, {ValueForm::kFixed, 8}};
  std::uint64_t refused = 0;
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    io::SeededRandom random{seed};
    EventWriter writer;
    for (int i = 0; i < 5; ++i)
      writer.add(EventOp::kInsert, TableId{3}, RowId{random.below(99)}, random_bytes(random, 30));
    Bytes bytes(writer.bytes().begin(), writer.bytes().end());
    for (std::uint64_t n = random.below(4); n > 0; --n)
      bytes[random.below(bytes.size())] ^= static_cast<std::byte>(random.below(256));
    bytes.resize(random.below(bytes.size() + 1));
    const Bytes exact = bytes;  // its own allocation, so that one byte too far is seen
    EventReader reader{exact};
    Event event;
    std::vector<ColumnValue> values, more;
    std::vector<std::uint16_t> changed;
    while (reader.next(event)) {
      ByteReader row{event.body};
      (void)read_row_image(row, forms, values);
      ByteReader update{event.body};
      (void)read_update_body(update, forms, changed, values, more);
      DdlBody ddl;
      MessageBody message;
      (void)read_ddl_body(event.body, ddl);
      (void)read_message_body(event.body, message);
    }
    refused += !reader.ok();
  }
  EXPECT_GT(refused, 1000u);
}

}  // namespace
}  // namespace rustbd::log
