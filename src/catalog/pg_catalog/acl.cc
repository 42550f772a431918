#include "rustbd/catalog/pg_catalog/acl.h"

namespace rustbd::catalog {

namespace {

/// Reads a role name at the front, quoted or plain, up to `end`.
std::string take_name(std::string_view& text, char end) {
  std::string out;
  bool quoted = false;
  while (!text.empty()) {
    const char c = text.front();
    if (c == '"') {
      if (quoted && text.size() > 1 && text[1] == '"') {
        out += '"';
        text.remove_prefix(2);
        continue;
      }
      quoted = !quoted;
    } else if (c == end && !quoted) {
      break;
    } else {
      out += c;
    }
    text.remove_prefix(1);
  }
  if (!text.empty()) text.remove_prefix(1);
  return out;
}

AclItem parse_item(std::string_view text) {
  AclItem item;
  item.grantee = take_name(text, '=');
  while (!text.empty() && text.front() != '/') {
    if (text.front() == '*') {
      if (!item.letters.empty()) item.grantable += item.letters.back();
    } else {
      item.letters += text.front();
    }
    text.remove_prefix(1);
  }
  if (!text.empty()) text.remove_prefix(1);
  item.grantor = take_name(text, '\0');
  return item;
}

/// Undoes the quoting of an array element: `"..."` with backslashes.
std::string element_text(std::string_view& text) {
  std::string out;
  if (!text.empty() && text.front() == '"') {
    text.remove_prefix(1);
    while (!text.empty() && text.front() != '"') {
      if (text.front() == '\\' && text.size() > 1) text.remove_prefix(1);
      out += text.front();
      text.remove_prefix(1);
    }
    if (!text.empty()) text.remove_prefix(1);
  } else {
    while (!text.empty() && text.front() != ',') {
      out += text.front();
      text.remove_prefix(1);
    }
  }
  if (!text.empty() && text.front() == ',') text.remove_prefix(1);
  return out;
}

}  // namespace

std::vector<AclItem> parse_acl(std::string_view acl) {
  std::vector<AclItem> out;
  if (acl.size() < 2) return out;
  std::string_view inside = acl.substr(1, acl.size() - 2);
  while (!inside.empty()) out.push_back(parse_item(element_text(inside)));
  return out;
}

std::vector<AclItem> effective_acl(const CatalogSnapshot& catalog, std::string_view acl, Oid owner,
                                   std::string_view all, std::string_view everybody) {
  if (!acl.empty()) return parse_acl(acl);
  const auto* role = catalog.role(owner);
  const std::string name = role != nullptr ? role->name : std::string{};
  std::vector<AclItem> out{{name, name, std::string{all}, {}}};
  if (!everybody.empty()) out.push_back({{}, name, std::string{everybody}, {}});
  return out;
}

bool acl_allows(const CatalogSnapshot& catalog, std::string_view acl, Oid owner, Oid role, char letter,
                std::string_view everybody) {
  const auto* r = catalog.role(role);
  if (r != nullptr && r->superuser) return true;
  if (acl.empty()) return role == owner || everybody.find(letter) != std::string_view::npos;
  for (const auto& item : parse_acl(acl)) {
    const bool applies = item.grantee.empty() || (r != nullptr && item.grantee == r->name);
    if (applies && item.letters.find(letter) != std::string::npos) return true;
  }
  return false;
}

}  // namespace rustbd::catalog
