#include "rustbd/security/master_key.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "rustbd/base/error.h"
#include "rustbd/security/digest.h"

namespace rustbd::security {

namespace {

constexpr std::size_t kTextMax = 4096;

bool white(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool from_hex(std::string_view text, KeyBytes& into) {
  if (text.size() != 2 * into.size()) return false;
  for (std::size_t i = 0; i < into.size(); ++i) {
    const int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    into[i] = static_cast<std::byte>(high << 4 | low);
  }
  return true;
}

struct CloseStream {
  void operator()(std::FILE* stream) const { std::fclose(stream); }
};

std::string read_all(std::FILE* stream) {
  std::string text(kTextMax + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), stream));
  return text;
}

std::string text_of_file(const std::string& path) {
  const std::unique_ptr<std::FILE, CloseStream> file{std::fopen(path.c_str(), "rb")};
  struct stat about {};
  if (file == nullptr || fstat(fileno(file.get()), &about) != 0)
    throw error(sqlstate::kIoError, "could not read the master key from file \"{}\": {}", path,
                std::strerror(errno));
  if ((about.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    throw error(sqlstate::kInsufficientPrivilege, "master key file \"{}\" has group or world access", path)
        .with_hint("Its permissions should be u=rw (0600) or less.");
  return read_all(file.get());
}

std::string text_of_command(const std::string& command) {
  std::FILE* const pipe = popen(command.c_str(), "r");
  if (pipe == nullptr)
    throw error(sqlstate::kIoError, "could not run the command for the master key: {}", std::strerror(errno));
  std::string text = read_all(pipe);
  if (const int status = pclose(pipe); status != 0) {
    wipe(std::as_writable_bytes(std::span{text}));
    throw error(sqlstate::kIoError, "the command for the master key {}",
                WIFEXITED(status)     ? fmt::format("failed: its exit code is {}", WEXITSTATUS(status))
                : WIFSIGNALED(status) ? fmt::format("was ended by signal {}", WTERMSIG(status))
                                      : std::string{"could not be waited for"});
  }
  return text;
}

}  // namespace

MasterKey parse_master_key(std::string_view text) {
  KeyBytes bytes;
  if (text.size() == bytes.size()) {
    std::memcpy(bytes.data(), text.data(), bytes.size());
    return MasterKey{bytes};
  }
  while (!text.empty() && white(text.front())) text.remove_prefix(1);
  while (!text.empty() && white(text.back())) text.remove_suffix(1);
  bool good = from_hex(text, bytes);
  if (!good) {
    if (const auto decoded = base64_decode(text); decoded && decoded->size() == bytes.size()) {
      std::memcpy(bytes.data(), decoded->data(), bytes.size());
      good = true;
    }
  }
  if (!good)
    throw error(sqlstate::kInvalidParameterValue,
                "a master key is 32 bytes: as they are, in hexadecimal or in base64")
        .with_hint("\"openssl rand -hex 32\" makes one.");
  MasterKey key{bytes};
  wipe(bytes);
  return key;
}

MasterKey read_master_key(std::string_view source) {
  const auto colon = source.find(':');
  const std::string_view kind = source.substr(0, colon);
  const std::string where{colon == std::string_view::npos ? "" : source.substr(colon + 1)};
  std::string text;
  if (kind == "file" && !where.empty()) {
    text = text_of_file(where);
  } else if (kind == "cmd" && !where.empty()) {
    text = text_of_command(where);
  } else if (kind == "env" && !where.empty()) {
    const char* value = std::getenv(where.c_str());
    if (value == nullptr)
      throw error(sqlstate::kInvalidParameterValue, "environment variable {} with the master key is not set",
                  where);
    text = value;
  } else {
    throw error(sqlstate::kInvalidParameterValue, "the master key has no source")
        .with_hint("Set encryption.key_source to \"file:PATH\", \"env:NAME\" or \"cmd:COMMAND\".");
  }
  MasterKey key = parse_master_key(text);
  wipe(std::as_writable_bytes(std::span{text}));
  return key;
}

}  // namespace rustbd::security
