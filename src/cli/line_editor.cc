#include "rustbd/cli/line_editor.h"

#include <histedit.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace rustbd::cli {

namespace {
constexpr int kHistoryEntries = 2000;

std::string history_path() {
  const char* home = std::getenv("HOME");
  return home == nullptr ? std::string{} : std::string{home} + "/.rustbd_history";
}
bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '\\' || c == '.' ||
         static_cast<unsigned char>(c) >= 0x80;
}
}  // namespace

struct LineEditor::Impl {
  EditLine* edit = nullptr;
  History* history = nullptr;
  HistEvent event{};
  std::string prompt;
  std::function<std::vector<std::string>(const std::string&, const std::string&)> complete;

  static char* prompt_of(EditLine* e) {
    Impl* self = nullptr;
    el_get(e, EL_CLIENTDATA, &self);
    return self->prompt.data();
  }
  static unsigned char on_tab(EditLine* e, int) {
    Impl* self = nullptr;
    el_get(e, EL_CLIENTDATA, &self);
    return self->complete_here();
  }
  unsigned char complete_here() {
    const auto* line = el_line(edit);
    const std::string before{line->buffer, line->cursor};
    auto begin = before.size();
    while (begin > 0 && is_word(before[begin - 1])) --begin;
    const auto word = before.substr(begin);
    const auto found = complete(before.substr(0, begin), word);
    if (found.empty()) return CC_REFRESH_BEEP;
    // As far as all of them agree.
    std::string common = found[0];
    for (const auto& f : found) {
      std::size_t n = 0;
      while (n < common.size() && n < f.size() &&
             std::tolower(static_cast<unsigned char>(common[n])) ==
                 std::tolower(static_cast<unsigned char>(f[n])))
        ++n;
      common.resize(n);
    }
    if (found.size() == 1) common += ' ';
    if (common.size() > word.size()) {
      el_deletestr(edit, static_cast<int>(word.size()));
      el_insertstr(edit, common.c_str());
      return CC_REFRESH;
    }
    std::fputc('\n', stdout);
    for (const auto& f : found) std::printf("%s  ", f.c_str());
    std::fputc('\n', stdout);
    return CC_REDISPLAY;
  }
};

LineEditor::LineEditor(
    std::function<std::vector<std::string>(const std::string&, const std::string&)> complete) {
  if (isatty(STDIN_FILENO) == 0) return;
  impl_ = std::make_unique<Impl>();
  impl_->complete = std::move(complete);
  impl_->edit = el_init("rustbd", stdin, stdout, stderr);
  impl_->history = history_init();
  history(impl_->history, &impl_->event, H_SETSIZE, kHistoryEntries);
  history(impl_->history, &impl_->event, H_SETUNIQUE, 1);
  if (const auto path = history_path(); !path.empty())
    history(impl_->history, &impl_->event, H_LOAD, path.c_str());
  el_set(impl_->edit, EL_CLIENTDATA, impl_.get());
  el_set(impl_->edit, EL_PROMPT, &Impl::prompt_of);
  el_set(impl_->edit, EL_EDITOR, "emacs");
  el_set(impl_->edit, EL_HIST, history, impl_->history);
  el_set(impl_->edit, EL_ADDFN, "complete-word", "Complete keyword or name", &Impl::on_tab);
  el_set(impl_->edit, EL_BIND, "\t", "complete-word", nullptr);
  el_set(impl_->edit, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  el_source(impl_->edit, nullptr);
}
LineEditor::~LineEditor() {
  if (!impl_) return;
  history_end(impl_->history);
  el_end(impl_->edit);
}

std::optional<std::string> LineEditor::read(const std::string& prompt) {
  interrupted_ = false;
  if (!impl_) {
    std::string line;
    for (int c; (c = std::getchar()) != EOF;) {
      if (c == '\n') return line;
      line += static_cast<char>(c);
    }
    return line.empty() ? std::nullopt : std::optional{line};
  }
  impl_->prompt = prompt;
  int n = 0;
  errno = 0;
  const char* line = el_gets(impl_->edit, &n);
  if (line == nullptr || n <= 0) {
    if (n < 0 && errno == EINTR) {
      interrupted_ = true;
      el_reset(impl_->edit);
      std::fputc('\n', stdout);
      return std::string{};
    }
    return std::nullopt;
  }
  std::string text{line, static_cast<std::size_t>(n)};
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

void LineEditor::add_history(const std::string& entry) {
  if (!impl_ || entry.empty()) return;
  history(impl_->history, &impl_->event, H_ENTER, entry.c_str());
  if (const auto path = history_path(); !path.empty())
    history(impl_->history, &impl_->event, H_SAVE, path.c_str());
}

}  // namespace rustbd::cli
