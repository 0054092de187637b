/* SPDX-License-Identifier: MIT */
/* Raw mode for a code: what is typed is shown as dots; the terminal is put back whatever ends us. */
#include "tools/ftx/terminal.h"

#include "transport/base/words.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum { CTRL_C = 3, CTRL_D = 4, CTRL_U = 21, ESCAPE = 27, BACKSPACE = 8, DELETE = 127 };
enum { CODE_WORDS = 3 }; /* behind the label */

static struct winsize window(void)
{
    struct winsize size = {0};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
        size = (struct winsize){0};
    return size;
}

int ftx_terminal_columns(void)
{
    int n = window().ws_col;
    return n ? n : 80;
}

int ftx_terminal_rows(void)
{
    int n = window().ws_row;
    return n ? n : 24;
}

bool ftx_terminal_asks(void)
{
    return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

bool ftx_terminal_ask(const char *question, bool otherwise)
{
    char answer[64];
    for (;;) {
        fprintf(stderr, "%s [%s] ", question, otherwise ? "Y/n" : "y/N");
        if (!fgets(answer, sizeof answer, stdin))
            return false;
        if (answer[0] == '\n')
            return otherwise;
        if (answer[0] == 'y' || answer[0] == 'Y')
            return true;
        if (answer[0] == 'n' || answer[0] == 'N')
            return false;
    }
}

/* -- raw mode -- */

static struct termios cooked;
static const int ending[] = {SIGTERM, SIGHUP, SIGQUIT};

static void cook(void)
{
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &cooked);
}

static void on_signal(int number)
{
    cook();
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static int make_raw(void)
{
    if (tcgetattr(STDIN_FILENO, &cooked) < 0)
        return -errno;
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++)
        (void)signal(ending[i], on_signal);
    struct termios raw = cooked;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG | IEXTEN);
    raw.c_iflag &= ~(tcflag_t)(IXON);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    return tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) < 0 ? -errno : 0;
}

static void end_raw(void)
{
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++)
        (void)signal(ending[i], SIG_DFL);
    cook();
    fputc('\n', stderr);
}

/* -- a line -- */

struct line {
    char *text;
    size_t size;
};

static void bell(void)
{
    fputc('\a', stderr);
}

static void show(const char *prompt, const struct line *line)
{
    fprintf(stderr, "\r%s", prompt);
    for (size_t i = 0; i < line->size; i++)
        fputc(line->text[i] == '-' ? '-' : '*', stderr);
    fputs("\033[K", stderr);
}

static void add(struct line *line, char c)
{
    if (line->size < FTX_CODE_MAX)
        line->text[line->size++] = c;
    else
        bell();
}

/* Completes the word at the end as far as it is certain, and begins the next. */
static void complete(struct line *line)
{
    size_t start = line->size, dashes = 0, first;
    while (start > 0 && line->text[start - 1] != '-')
        start--;
    for (size_t i = 0; i < start; i++)
        dashes += line->text[i] == '-';
    size_t typed = line->size - start;
    size_t n = dashes && typed ? ftx_words_find(line->text + start, typed, &first) : 0;
    if (n == 0) {
        bell();
        return;
    }
    const char *word = ftx_words[first], *last = ftx_words[first + n - 1];
    while (word[typed] && word[typed] == last[typed])
        add(line, word[typed++]);
    if (n > 1)
        bell();
    else if (dashes < CODE_WORDS)
        add(line, '-');
}

/* True: the line has ended, with *out_err. */
static bool take_key(struct line *line, char key, int *out_err)
{
    *out_err = 0;
    switch (key) {
    case '\r':
    case '\n':
        return true;
    case CTRL_D:
        if (line->size)
            return false;
        /* fall through */
    case CTRL_C:
        *out_err = -EINTR;
        return true;
    case '\t':
        complete(line);
        return false;
    case BACKSPACE:
    case DELETE:
        if (line->size)
            line->size--;
        return false;
    case CTRL_U:
        line->size = 0;
        return false;
    case ' ':
        add(line, '-');
        return false;
    default:
        if (key > ' ')
            add(line, key >= 'A' && key <= 'Z' ? (char)(key - 'A' + 'a') : key);
        else
            bell();
        return false;
    }
}

/* The rest of what an arrow or function key sends. */
static void skip_sequence(void)
{
    char key;
    if (read(STDIN_FILENO, &key, 1) != 1 || (key != '[' && key != 'O'))
        return;
    while (read(STDIN_FILENO, &key, 1) == 1 && (key < '@' || key > '~'))
        ;
}

static int read_hidden(const char *prompt, struct line *line)
{
    int err = make_raw();
    if (err)
        return err;
    for (char key;;) {
        show(prompt, line);
        ssize_t n = read(STDIN_FILENO, &key, 1);
        if (n != 1) {
            err = n < 0 ? -errno : -EINTR;
            break;
        }
        if (key == ESCAPE)
            skip_sequence();
        else if (take_key(line, key, &err))
            break;
    }
    end_raw();
    return err;
}

static int read_plain(struct line *line)
{
    for (char c;;) {
        ssize_t n = read(STDIN_FILENO, &c, 1);
        if (n < 0)
            return -errno;
        if (n == 0 || c == '\n')
            return 0;
        if (line->size == FTX_CODE_MAX)
            return -EMSGSIZE;
        line->text[line->size++] = c;
    }
}

int ftx_terminal_read_code(const char *prompt, char out[FTX_CODE_MAX + 1])
{
    struct line line = {.text = out};
    int err = ftx_terminal_asks() ? read_hidden(prompt, &line) : read_plain(&line);
    out[line.size] = '\0';
    return err;
}
