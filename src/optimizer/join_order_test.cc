#include "rustbd/optimizer/join_order.h"

#include <gtest/gtest.h>

#include <bit>
#include <random>

namespace rustbd::optimizer {

namespace {

struct Block {
  std::vector<JoinTable> tables;
  std::vector<JoinEdge> edges;
};

Block random_block(std::mt19937& random, std::size_t tables) {
  Block block;
  for (std::size_t i = 0; i < tables; ++i) {
    JoinTable t;
    t.rows = static_cast<double>(1 + random() % 100'000);
    t.cost = t.rows * 12;
    block.tables.push_back(t);
  }
  const auto add = [&](std::size_t a, std::size_t b) {
    JoinEdge e;
    e.left = TableMask{1} << a;
    e.right = TableMask{1} << b;
    e.tables = e.left | e.right;
    e.selectivity = 1 / std::max(block.tables[a].rows, block.tables[b].rows);
    block.edges.push_back(e);
  };
  for (std::size_t i = 1; i < tables; ++i)
    if (random() % 8 != 0) add(i, random() % i);  // now and then a table without a condition
  for (std::size_t i = 0; i < tables / 3; ++i) {
    const auto a = random() % tables, b = random() % tables;
    if (a != b) add(a, b);
  }
  return block;
}

void expect_whole(const Block& block, const std::vector<JoinTree>& order) {
  ASSERT_EQ(order.size(), 2 * block.tables.size() - 1);
  TableMask leaves = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto& tree = order[i];
    if (tree.table >= 0) {
      EXPECT_EQ(tree.tables, TableMask{1} << tree.table);
      EXPECT_EQ(leaves & tree.tables, 0u);
      leaves |= tree.tables;
      continue;
    }
    ASSERT_LT(tree.left, static_cast<int>(i));
    ASSERT_LT(tree.right, static_cast<int>(i));
    const auto l = order[static_cast<std::size_t>(tree.left)].tables,
               r = order[static_cast<std::size_t>(tree.right)].tables;
    EXPECT_EQ(l & r, 0u);
    EXPECT_EQ(l | r, tree.tables);
  }
  EXPECT_EQ(static_cast<std::size_t>(std::popcount(leaves)), block.tables.size());
}

TEST(JoinOrder, EveryTableOnce) {
  std::mt19937 random{7};
  for (int round = 0; round < 200; ++round) {
    const auto block = random_block(random, 2 + random() % 6);
    std::uint64_t considered = 0;
    expect_whole(block, order_joins(block.tables, block.edges, true, &considered));
    EXPECT_GT(considered, 0u);
  }
}

TEST(JoinOrder, ManyTablesGreedily) {
  std::mt19937 random{11};
  for (const std::size_t tables : {12u, 20u, 40u, 64u}) {
    const auto block = random_block(random, tables);
    expect_whole(block, order_joins(block.tables, block.edges, true, nullptr));
  }
}

TEST(JoinOrder, StarStartsWithTheSelectiveDimension) {
  Block block;
  block.tables = {{1e6, 12e6, 16, {}}, {10, 120, 8, {}}, {10'000, 12e4, 8, {}}};
  block.edges = {{0b011, 0b001, 0b010, 1e-3}, {0b101, 0b001, 0b100, 1e-4}};
  const auto order = order_joins(block.tables, block.edges, true, nullptr);
  const auto& root = order.back();
  const auto l = order[static_cast<std::size_t>(root.left)].tables,
             r = order[static_cast<std::size_t>(root.right)].tables;
  EXPECT_TRUE(l == 0b011 || r == 0b011);
}

TEST(JoinOrder, ImpliedEqualitiesCountOnce) {
  std::vector<JoinTable> tables(3);
  for (auto& t : tables) t.rows = 100, t.cost = 1200;
  std::vector<JoinEdge> edges = {
      {0b011, 0b001, 0b010, 0.01, 0}, {0b110, 0b010, 0b100, 0.01, 0}, {0b101, 0b001, 0b100, 0.01, 0}};
  EXPECT_DOUBLE_EQ(order_joins(tables, edges, true, nullptr).back().rows, 100);
}

TEST(JoinOrder, LooksUpFewRowsByIndex) {
  std::vector<JoinTable> tables(2);
  tables[0].rows = 5;
  tables[0].cost = 100;
  tables[1].rows = 1e6;
  tables[1].cost = 12e6;
  tables[1].lookups.push_back({0b01, 1, 600, 3});
  const auto order = order_joins(tables, {{0b11, 0b01, 0b10, 1e-6}}, true, nullptr);
  EXPECT_TRUE(order.back().uses_lookup);
  EXPECT_EQ(order.back().lookup, 3u);
}

}  // namespace

}  // namespace rustbd::optimizer
