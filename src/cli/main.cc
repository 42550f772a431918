// The program `rustbd`: reads the command line and calls the subcommand.
#include <CLI/CLI.hpp>

#include "rustbd/base/error.h"
#include "rustbd/server/server.h"

extern char** environ;

namespace {

constexpr int kUsage = 2;

struct ServeFlags {
  std::string config_file, data = "./data";
  bool insecure = false;
  std::map<std::string, std::string> keys;     // configuration keys given as flags
};

int run_serve(const ServeFlags& flags) {
  rustbd::server::ServeOptions options;
  options.data = flags.data;
  options.insecure = flags.insecure;
  try {
    auto file = flags.config_file;
    if (file.empty() && std::ifstream{flags.data + "/rustbd.toml"}.good()) file = flags.data + "/rustbd.toml";
    if (!file.empty()) options.config.read_file(file);
    options.config.read_environment(environ);
    for (const auto& [key, value] : flags.keys) options.config.set(key, value, rustbd::server::Source::kFlag);
  } catch (const rustbd::Error& e) {
    fmt::print(stderr, "rustbd: {}\n", e.message);
    if (!e.hint.empty()) fmt::print(stderr, "{}\n", e.hint);
    return 1;
  }
  return rustbd::server::serve(std::move(options));
}

void add_serve(CLI::App& app, ServeFlags& flags) {
  auto* serve = app.add_subcommand("serve", "run the server in the foreground");
  serve->add_option("--config", flags.config_file, "configuration file (default: rustbd.toml in the data directory)")->check(CLI::ExistingFile);
  serve->add_option("--data", flags.data, "data directory, made if absent")->capture_default_str();
  serve->add_flag("--insecure", flags.insecure, "no password and no TLS; loopback addresses only");
  const std::pair<const char*, const char*> kFlags[] = {{"--listen", "server.listen"}, {"--http", "server.http"}, {"--log-format", "log.format"}, {"--log-level", "log.level"}};
  for (const auto& [flag, key] : kFlags)
    serve->add_option_function<std::string>(flag, [&flags, key = std::string{key}](const std::string& v) { flags.keys[key] = v; }, fmt::format("configuration key {}", key));
  serve->add_option_function<std::vector<std::string>>("--set", [&flags](const std::vector<std::string>& pairs) {
    for (const auto& p : pairs) {
      const auto equals = p.find('=');
      if (equals == std::string::npos) throw CLI::ValidationError("--set", "expected section.key=value");
      flags.keys[p.substr(0, equals)] = p.substr(equals + 1);
    }
  }, "any configuration key, as section.key=value");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"RustBD: an SQL server that speaks PostgreSQL's protocol"};
  app.set_version_flag("--version", std::string{"rustbd "} + RUSTBD_VERSION);
  app.require_subcommand(1);
  ServeFlags serve;
  add_serve(app, serve);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : kUsage;
  }
  return run_serve(serve);
}
