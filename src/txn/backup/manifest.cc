#include "rustbd/txn/backup/manifest.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "rustbd/base/hash.h"
#include "rustbd/txn/transaction_system.h"

namespace rustbd::txn {
namespace {

using nlohmann::json;

constexpr int kVersion = 1;

// As texts: readers of JSON often keep 53 bits of a number.
std::string hex(std::uint64_t value) { return fmt::format("{:016x}", value); }

std::uint64_t number_in(std::string_view text, int base) {
  std::uint64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || failed != std::errc{} || end != text.data() + text.size())
    throw std::invalid_argument("a number");
  return value;
}
std::uint64_t from_hex(const json& value) { return number_in(value.get_ref<const std::string&>(), 16); }

Lsn lsn_in(const json& value) {
  const std::string_view text = value.get_ref<const std::string&>();
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) throw std::invalid_argument("a position");
  return Lsn{number_in(text.substr(0, slash), 16) << 32 | number_in(text.substr(slash + 1), 16)};
}

std::string text_of(const json& value, int indent) {
  return value.dump(indent, ' ', false, json::error_handler_t::replace);  // paths need not be UTF-8
}

std::string checksum_of(const json& content) {
  const std::string text = text_of(content, -1);
  return hex(xxh3_64(text.data(), text.size()));
}

BackupManifest parse(const json& content) {
  BackupManifest m;
  m.id = from_hex(content.at("id"));
  m.parent = from_hex(content.at("parent"));
  m.parent_path = content.at("parent_path").get<std::string>();
  m.database = content.at("database").get<std::string>();
  m.wal_uuid = from_hex(content.at("wal_uuid"));
  m.segment_bytes = content.at("segment_bytes").get<std::uint64_t>();
  m.epoch = content.at("epoch").get<std::uint64_t>();
  m.checkpoint = lsn_in(content.at("checkpoint_lsn"));
  m.log_from = lsn_in(content.at("log_from_lsn"));
  m.end = lsn_in(content.at("end_lsn"));
  m.began_us = content.at("began_us").get<std::int64_t>();
  m.checkpoint_us = content.at("checkpoint_us").get<std::int64_t>();
  m.ended_us = content.at("ended_us").get<std::int64_t>();
  m.encrypted = content.at("encrypted").get<bool>();
  m.extents = content.at("extents").get<std::uint64_t>();
  m.extents_stored = content.at("extents_stored").get<std::uint64_t>();
  m.data_bytes = content.at("data_bytes").get<std::uint64_t>();
  for (const json& file : content.at("files"))
    m.files.push_back({file.at("name").get<std::string>(), file.at("bytes").get<std::uint64_t>(),
                       from_hex(file.at("digest"))});
  return m;
}

}  // namespace

const BackupFile* BackupManifest::file(std::string_view name) const {
  for (const BackupFile& file : files)
    if (file.name == name) return &file;
  return nullptr;
}

std::uint64_t BackupManifest::bytes() const {
  std::uint64_t sum = 0;
  for (const BackupFile& file : files) sum += file.bytes;
  return sum;
}

std::string encode_manifest(const BackupManifest& m) {
  json files = json::array();
  for (const BackupFile& file : m.files)
    files.push_back({{"name", file.name}, {"bytes", file.bytes}, {"digest", hex(file.digest)}});
  const json content = {{"id", hex(m.id)},
                        {"parent", hex(m.parent)},
                        {"parent_path", m.parent_path},
                        {"database", m.database},
                        {"wal_uuid", hex(m.wal_uuid)},
                        {"segment_bytes", m.segment_bytes},
                        {"epoch", m.epoch},
                        {"checkpoint_lsn", to_text(m.checkpoint)},
                        {"log_from_lsn", to_text(m.log_from)},
                        {"end_lsn", to_text(m.end)},
                        {"began_us", m.began_us},
                        {"checkpoint_us", m.checkpoint_us},
                        {"ended_us", m.ended_us},
                        {"encrypted", m.encrypted},
                        {"extents", m.extents},
                        {"extents_stored", m.extents_stored},
                        {"data_bytes", m.data_bytes},
                        {"files", files}};
  const json all = {{"rustbd_backup", kVersion}, {"backup", content}, {"checksum", checksum_of(content)}};
  return text_of(all, 1) + "\n";
}

BackupManifest decode_manifest(std::string_view text, const std::string& path) {
  try {
    const json all = json::parse(text);
    if (all.at("rustbd_backup").get<int>() != kVersion)
      throw error(sqlstate::kFeatureNotSupported, "\"{}\" is of a version that this program does not read",
                  path);
    const json& content = all.at("backup");
    if (all.at("checksum").get<std::string>() == checksum_of(content)) return parse(content);
  } catch (const json::exception&) {
  } catch (const std::invalid_argument&) {}
  throw error(sqlstate::kDataCorrupted, "the backup is damaged: \"{}\" is not what was written", path);
}

BackupManifest read_manifest(io::Disk& disk, const std::string& directory) {
  const std::string path = backup_path(directory, kManifestName);
  if (!disk.exists(path))
    throw error(sqlstate::kUndefinedFile, "there is no \"{}\": the directory holds no finished backup", path);
  return decode_manifest(as_chars(read_small_file(disk, path)), path);
}

std::string backup_path(const std::string& directory, std::string_view name) {
  return directory.empty() ? std::string(name) : fmt::format("{}/{}", directory, name);
}

}  // namespace rustbd::txn
