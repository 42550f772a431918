// Operators and their precedence. Source: precedence climbing (Pratt, 1973) over PostgreSQL's operator table.
#include "rustbd/sql/parser_impl.h"

namespace rustbd::sql {

Node* Parser::expression(int minimum, bool restricted) {
  DepthGuard guard(*this);
  return continue_expression(prefix(restricted), minimum, restricted);
}

Node* Parser::prefix(bool restricted) {
  const std::int32_t start = location();
  if (!restricted && accept(K::kDefault)) return make<DefaultMarker>(start);
  if (!restricted && accept(K::kNot)) {
    auto* node = make<NotExpression>(start);
    node->argument = expression(kNotPower, false);
    return node;
  }
  if (at('+') || at('-')) {
    const std::string_view sign = next().value;
    Node* operand = expression(kSignPower, restricted);
    if (sign == "-") return negate(operand, start);
    auto* node = make<OperatorExpression>(start);
    node->op = sign;
    node->right = operand;
    return node;
  }
  if (at(TokenKind::kOperator) || (at(K::kOperator) && at('(', 1))) {
    auto* node = make<OperatorExpression>(start);
    OperatorName name;
    if (accept(K::kOperator)) {
      expect('(');
      name = any_operator();
      expect(')');
    } else {
      name = {{}, next().value, start};
    }
    node->schema = name.schema;
    node->op = name.op;
    node->right = expression(kOperatorPower + 1, restricted);
    return node;
  }
  return primary();
}

/// A minus before a number makes a negative number; else it is an operator.
Node* Parser::negate(Node* operand, std::int32_t location) {
  if (auto* literal = try_as<Literal>(operand)) {
    if (literal->type == LiteralType::kInteger) {
      literal->integer = -literal->integer;
      literal->location = location;
      return literal;
    }
    if (literal->type == LiteralType::kNumeric) {
      const std::string_view text = literal->text;
      literal->text = text.starts_with('-') ? text.substr(1) : arena_.copy("-" + std::string(text));
      literal->location = location;
      return literal;
    }
  }
  auto* node = make<OperatorExpression>(location);
  node->op = "-";
  node->right = operand;
  return node;
}

int Parser::infix_power(bool restricted) const {
  const Token& token = peek();
  switch (token.kind) {
    case TokenKind::kOperator: return kOperatorPower;
    case TokenKind::kLessEquals:
    case TokenKind::kGreaterEquals:
    case TokenKind::kNotEquals: return kComparePower;
    case TokenKind::kTypecast: return kCastPower;
    case TokenKind::kKeyword: break;
    default:
      if (at('=') || at('<') || at('>')) return kComparePower;
      if (at('+') || at('-')) return kAddPower;
      if (at('*') || at('/') || at('%')) return kMultiplyPower;
      return at('^') ? kPowerPower : -1;
  }
  if (token.keyword == K::kIs) return kIsPower;
  if (token.keyword == K::kOperator) return at('(', 1) ? kOperatorPower : -1;
  if (restricted) return -1;
  switch (token.keyword) {
    case K::kOr: return kOrPower;
    case K::kAnd: return kAndPower;
    case K::kIsnull:
    case K::kNotnull: return kIsPower;
    case K::kBetween:
    case K::kIn:
    case K::kLike:
    case K::kIlike: return kLikePower;
    case K::kSimilar: return at(K::kTo, 1) ? kLikePower : -1;
    case K::kNot:
      return at(K::kBetween, 1) || at(K::kIn, 1) || at(K::kLike, 1) || at(K::kIlike, 1) || at(K::kSimilar, 1)
                 ? kLikePower
                 : -1;
    case K::kAt: return at(K::kTime, 1) ? kAtPower : -1;
    case K::kCollate: return kCollatePower;
    default: return -1;
  }
}

Node* Parser::continue_expression(Node* left, int minimum, bool restricted) {
  int blocked = -1;  // the level of a non-associative operator just built: another of it is an error
  for (std::int32_t links = 0;; ++links) {
    const int power = infix_power(restricted);
    if (power < 0 || power < minimum) return left;
    if (power == blocked) fail();
    if (links > kChainMax) {
      throw error(sqlstate::kStatementTooComplex, "stack depth limit exceeded").at(location());
    }
    blocked = -1;
    const std::int32_t start = location();
    switch (power) {
      case kOrPower: left = bool_chain(left, true); break;
      case kAndPower: left = bool_chain(left, false); break;
      case kIsPower: left = is_test(left, minimum, restricted, blocked); break;
      case kLikePower: left = not_suffix(left, blocked); break;
      case kCastPower: {
        ++at_;
        auto* cast = make<TypeCast>(start);
        cast->argument = left;
        cast->type = type_name();
        left = cast;
        break;
      }
      case kCollatePower: {
        ++at_;
        auto* collate = make<CollateExpression>(start);
        collate->argument = left;
        collate->collation = any_name();
        left = collate;
        break;
      }
      case kAtPower: {
        ++at_;
        expect_all(K::kTime, K::kZone);
        Node* zone = expression(kAtPower + 1, false);
        left = system_call("timezone", {zone, left}, start);
        break;
      }
      default: {
        OperatorName op;
        if (accept(K::kOperator)) {
          expect('(');
          op = any_operator();
          expect(')');
        } else {
          op = {{}, next().value, start};
        }
        op.location = start;
        const bool quantified = !restricted && at_any(K::kAny, K::kAll, K::kSome);
        left = operator_suffix(left, op, power, restricted);
        if (power == kComparePower && !quantified) blocked = kComparePower;
      }
    }
  }
}

Node* Parser::bool_chain(Node* left, bool is_or) {
  const Keyword keyword = is_or ? K::kOr : K::kAnd;
  auto* node = make<BoolExpression>();
  node->is_or = is_or;
  ListBuilder<Node*> arguments(arena_);
  const auto* inner = try_as<BoolExpression>(left);
  if (inner != nullptr && inner->is_or == is_or) {
    for (Node* argument : inner->arguments) arguments.push(argument);
  } else {
    arguments.push(left);
  }
  while (accept(keyword)) arguments.push(expression(is_or ? kOrPower + 1 : kAndPower + 1, false));
  node->arguments = arguments.take();
  return node;
}

Node* Parser::operator_suffix(Node* left, const OperatorName& op, int power, bool restricted) {
  if (!restricted && at_any(K::kAny, K::kAll, K::kSome)) return any_all(left, op);
  auto* node = make<OperatorExpression>(op.location);
  node->schema = op.schema;
  node->op = op.op;
  node->left = left;
  node->right = expression(power + 1, restricted);
  return node;
}

Node* Parser::any_all(Node* left, const OperatorName& op) {
  const bool all = at(K::kAll);
  ++at_;
  if (!at('(')) fail();
  Parentheses inside = parentheses();
  if (inside.query != nullptr) {
    auto* link = make<SubLink>(op.location);
    link->type = all ? SubLinkType::kAll : SubLinkType::kAny;
    link->test = left;
    link->schema = op.schema;
    link->op = op.op;
    link->query = inside.query;
    return link;
  }
  if (inside.items.size() != 1) {
    throw error(sqlstate::kSyntaxError, "syntax error at or near \",\"").at(inside.items[1]->location);
  }
  auto* node = make<AnyAllExpression>(op.location);
  node->schema = op.schema;
  node->op = op.op;
  node->all = all;
  node->left = left;
  node->array = inside.items[0];
  return node;
}

Node* Parser::is_test(Node* left, int minimum, bool restricted, int& blocked) {
  (void)minimum;
  const std::int32_t start = location();
  const Keyword first = next().keyword;
  const auto null_test = [&](bool negated) {
    auto* node = make<NullTest>(start);
    node->argument = left;
    node->negated = negated;
    return node;
  };
  if (first != K::kIs) return null_test(first == K::kNotnull);
  const bool negated = accept(K::kNot);
  if (accept(K::kDistinct)) {
    expect(K::kFrom);
    auto* node = make<DistinctExpression>(start);
    node->negated = negated;
    node->left = left;
    node->right = expression(kIsPower + 1, restricted);
    blocked = kIsPower;
    return node;
  }
  if (accept(K::kDocument)) {
    auto* node = make<DocumentTest>(start);
    node->argument = left;
    node->negated = negated;
    return node;
  }
  if (restricted) fail();
  if (accept(K::kNull)) return null_test(negated);
  if (at_any(K::kTrue, K::kFalse, K::kUnknown)) {
    auto* node = make<BooleanTest>(start);
    node->argument = left;
    node->negated = negated;
    node->type = at(K::kTrue)    ? BooleanTestType::kTrue
                 : at(K::kFalse) ? BooleanTestType::kFalse
                                 : BooleanTestType::kUnknown;
    ++at_;
    return node;
  }
  auto* node = make<NormalizedTest>(start);
  node->argument = left;
  node->negated = negated;
  if (at_any(K::kNfc, K::kNfd, K::kNfkc, K::kNfkd)) node->form = next().value;
  expect(K::kNormalized);
  return node;
}

/// [NOT] BETWEEN, IN, LIKE, ILIKE, SIMILAR TO.
Node* Parser::not_suffix(Node* left, int& blocked) {
  const std::int32_t start = location();
  const bool negated = accept(K::kNot);
  if (accept(K::kIn)) return in_suffix(left, negated, start);
  if (accept(K::kBetween)) {
    blocked = kLikePower;
    return between_suffix(left, negated, start);
  }
  return like_suffix(left, negated, start, blocked);
}

Node* Parser::like_suffix(Node* left, bool negated, std::int32_t location, int& blocked) {
  LikeType type = LikeType::kLike;
  if (accept(K::kSimilar)) {
    expect(K::kTo);
    type = LikeType::kSimilar;
  } else if (next().keyword == K::kIlike) {
    type = LikeType::kILike;
  }
  if (type != LikeType::kSimilar && at_any(K::kAny, K::kAll, K::kSome)) {
    const bool ignore_case = type == LikeType::kILike;
    const std::string_view op = ignore_case ? (negated ? "!~~*" : "~~*") : (negated ? "!~~" : "~~");
    return any_all(left, {{}, op, location});
  }
  auto* node = make<LikeExpression>(location);
  node->type = type;
  node->negated = negated;
  node->argument = left;
  node->pattern = expression(kLikePower + 1, false);
  if (accept(K::kEscape)) node->escape = expression(kLikePower + 1, false);
  blocked = kLikePower;
  return node;
}

Node* Parser::between_suffix(Node* left, bool negated, std::int32_t location) {
  auto* node = make<BetweenExpression>(location);
  node->argument = left;
  node->negated = negated;
  node->symmetric = accept(K::kSymmetric);
  if (!node->symmetric) accept(K::kAsymmetric);
  node->low = b_expression();
  expect(K::kAnd);
  node->high = expression(kLikePower + 1, false);
  return node;
}

Node* Parser::in_suffix(Node* left, bool negated, std::int32_t location) {
  if (!at('(')) fail();
  Parentheses inside = parentheses();
  if (inside.query == nullptr) {
    auto* node = make<InExpression>(location);
    node->argument = left;
    node->items = inside.items;
    node->negated = negated;
    return node;
  }
  auto* link = make<SubLink>(location);
  link->type = SubLinkType::kAny;
  link->test = left;
  link->query = inside.query;
  if (!negated) return link;
  auto* node = make<NotExpression>(location);
  node->argument = link;
  return node;
}

NodeList Parser::expression_list() {
  return comma_list<Node*>([this] { return expression(); });
}

// --- ORDER BY

List<SortItem*> Parser::optional_order_by() {
  if (!accept(K::kOrder)) return {};
  expect(K::kBy);
  return sort_list();
}

List<SortItem*> Parser::sort_list() {
  return comma_list<SortItem*>([this] { return sort_item(); });
}

SortItem* Parser::sort_item() {
  auto* item = make<SortItem>();
  item->value = expression();
  if (accept(K::kUsing)) {
    item->direction = SortDirection::kUsing;
    OperatorName op;
    if (accept(K::kOperator)) {
      expect('(');
      op = any_operator();
      expect(')');
    } else if (at_operator()) {
      op.op = next().value;
    } else {
      fail();
    }
    item->using_schema = op.schema;
    item->using_op = op.op;
  } else if (accept(K::kAsc)) {
    item->direction = SortDirection::kAscending;
  } else if (accept(K::kDesc)) {
    item->direction = SortDirection::kDescending;
  }
  item->nulls = nulls_order();
  return item;
}

SortNulls Parser::nulls_order() {
  if (accept2(K::kNulls, K::kFirst)) return SortNulls::kFirst;
  if (accept2(K::kNulls, K::kLast)) return SortNulls::kLast;
  return SortNulls::kDefault;
}

}  // namespace rustbd::sql
