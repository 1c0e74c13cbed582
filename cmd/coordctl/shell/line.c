/* Keys and the terminal's mode. libedit shows the prompt first and then takes the terminal out of
 * line mode, and what is typed between the two is the terminal's: Ctrl-D becomes a NUL, Ctrl-C a
 * signal that throws away the keys before it. So here the mode is changed before the prompt is
 * shown, and while a line is edited Ctrl-C and Ctrl-Z are keys like all others, read in their turn.
 *
 * Of libedit's two sets of history functions the one for wide characters is used: the other has a
 * history_init, a name that store/history.h has as well. */
#include "cmd/coordctl/shell/line.h"

#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#include "base/mem.h"
#include "cmd/coordctl/text/words.h"

#define HISTORY_LINES 1000
#define WIDTH_DEFAULT 80

struct line_editor {
    EditLine *el;
    HistoryW *history;
    const char *history_file;
    const char *prompt;
    line_complete_fn complete;
    void *context;
    struct buf line;
    bool is_left;        /* by Ctrl-C */
    bool is_typed_ahead; /* this line, or its beginning, before its prompt was shown */
    struct sigaction interrupt_before;
};

static struct line_editor *editor_of(EditLine *el)
{
    struct line_editor *e = NULL;
    (void)el_get(el, EL_CLIENTDATA, &e);
    return e;
}

/* ---- completion ------------------------------------------------------------------------- */

static size_t characters(const char *text, size_t bytes)
{
    size_t count = 0;
    for (size_t i = 0; i < bytes; i++) {
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    }
    return count;
}

/* The last word of `line`, which ends at the cursor, becomes `bytes` of `word`; whole: what comes
 * next is another word. */
static void replace_word(EditLine *el, const char *line, const struct words *words,
                         const char *word, size_t bytes, bool is_whole)
{
    struct buf text = {0};
    struct buf begin = {0};
    size_t typed = strlen(line) - words->last_begin;
    buf_append(&begin, word, bytes);
    buf_append(&begin, "", 1);
    if (words->open_quote != 0) {
        buf_append(&text, &words->open_quote, 1);
    }
    words_quote(&text, (const char *)begin.data, words->open_quote);
    if (is_whole && words->open_quote != 0) {
        buf_append(&text, &words->open_quote, 1);
    }
    buf_append_str(&text, is_whole ? " " : "");
    buf_append(&text, "", 1);
    el_deletestr(el, (int)characters(line + words->last_begin, typed));
    (void)el_insertstr(el, (const char *)text.data);
    buf_close(&text);
    buf_close(&begin);
}

static size_t terminal_width(EditLine *el)
{
    int columns = 0;
    char name[] = "co"; /* termcap's name of it */
    bool is_known = el_get(el, EL_GETTC, name, &columns) == 0 && columns > 0;
    return is_known ? (size_t)columns : WIDTH_DEFAULT;
}

/* Inserts what is certain; else shows what there is to choose from. */
static unsigned char use_offers(EditLine *el, const char *line, const struct words *words,
                                const struct offers *offers)
{
    size_t common = offers_common(offers);
    const char *first = offers->at[0].word;
    if (offers->count == 1) {
        bool has_more = common > 0 && strchr("/=", first[common - 1]) != NULL;
        replace_word(el, line, words, first, common, !has_more);
        return CC_REFRESH;
    }
    if (common > offers->typed_bytes) {
        replace_word(el, line, words, first, common, false);
        return CC_REFRESH;
    }
    putchar('\n');
    offers_print(offers, stdout, terminal_width(el));
    (void)fflush(stdout);
    return CC_REDISPLAY;
}

static unsigned char complete_word(EditLine *el, wint_t key)
{
    struct line_editor *e = editor_of(el);
    struct arena arena = {0};
    struct words words;
    const LineInfo *info = el_line(el);
    size_t size = (size_t)(info->cursor - info->buffer);
    unsigned char result = CC_ERROR;
    (void)key;
    char *line = arena_alloc(&arena, size + 1);
    memcpy(line, info->buffer, size);
    line[size] = '\0';
    enum words_result split = words_split(&arena, line, true, &words);
    if (split != WORDS_TOO_MANY && words.tail == NULL && words.count > 0) {
        struct offers *offers = mem_zalloc(sizeof *offers);
        offers->typed_bytes = strlen(words.at[words.count - 1]);
        e->complete(e->context, line, offers);
        if (offers->count > 0) {
            result = use_offers(el, line, &words, offers);
        }
        offers_close(offers);
        mem_free(offers);
    }
    arena_close(&arena);
    return result;
}

/* ---- keys that are signals elsewhere ---------------------------------------------------- */

static unsigned char leave_line(EditLine *el, wint_t key)
{
    const LineInfo *info = el_line(el);
    (void)key;
    (void)el_cursor(el, (int)(info->lastchar - info->cursor)); /* ^C is shown behind the line */
    (void)el_set(el, EL_REFRESH);
    editor_of(el)->is_left = true;
    return CC_EOF;
}

static unsigned char suspend(EditLine *el, wint_t key)
{
    (void)key;
    (void)el_set(el, EL_PREP_TERM, 0);
    (void)kill(0, SIGTSTP); /* returns when somebody continues us */
    (void)el_set(el, EL_PREP_TERM, 1);
    return CC_REDISPLAY;
}

/* A Ctrl-D that was typed while a command ran: the terminal keeps it as a NUL. */
static unsigned char end_typed_ahead(EditLine *el, wint_t key)
{
    const LineInfo *info = el_line(el);
    (void)key;
    return editor_of(el)->is_typed_ahead && info->lastchar == info->buffer ? CC_EOF : CC_NORM;
}

/* Bound to the key that means this on this terminal. */
static void bind_signal(EditLine *el, cc_t key, const char *function)
{
    const char keys[] = {(char)key, '\0'};
    if (key != _POSIX_VDISABLE) {
        (void)el_set(el, EL_BIND, keys, function, NULL);
    }
}

static void take_signal_keys(EditLine *el)
{
    struct termios terminal;
    (void)el_wset(el, EL_ADDFN, L"coord-leave", L"leave the line", leave_line);
    (void)el_wset(el, EL_ADDFN, L"coord-suspend", L"stop the shell for now", suspend);
    (void)el_wset(el, EL_ADDFN, L"coord-end", L"end, if typed ahead", end_typed_ahead);
    (void)el_set(el, EL_SETTY, "-d", "-isig", NULL);
    if (tcgetattr(STDIN_FILENO, &terminal) == 0) {
        bind_signal(el, terminal.c_cc[VINTR], "coord-leave");
        bind_signal(el, terminal.c_cc[VSUSP], "coord-suspend");
        (void)el_set(el, EL_BIND, "^@", "coord-end", NULL);
    }
}

/* ---- lines ------------------------------------------------------------------------------ */

static char *show_prompt(EditLine *el)
{
    return (char *)(uintptr_t)editor_of(el)->prompt;
}

/* Of somebody's kill: only so that reading ends, and what was typed is left. */
static void interrupt(int number)
{
    (void)number;
}

struct line_editor *line_editor_new(const char *history_file, line_complete_fn complete,
                                    void *context)
{
    struct line_editor *e = mem_zalloc(sizeof *e);
    HistEventW event;
    (void)setlocale(LC_CTYPE, ""); /* so that libedit knows how wide what is typed is */
    e->el = el_init("coordctl", stdin, stdout, stderr);
    e->history = history_winit();
    if (e->el == NULL || e->history == NULL) {
        line_editor_free(e);
        return NULL;
    }
    e->history_file = history_file;
    e->complete = complete;
    e->context = context;
    e->prompt = "";
    struct sigaction action = {.sa_handler = interrupt};
    (void)sigaction(SIGINT, &action, &e->interrupt_before);
    (void)history_w(e->history, &event, H_SETSIZE, HISTORY_LINES);
    (void)history_w(e->history, &event, H_SETUNIQUE, 1);
    if (history_file != NULL) {
        (void)history_w(e->history, &event, H_LOAD, history_file);
    }
    (void)el_set(e->el, EL_CLIENTDATA, e);
    (void)el_set(e->el, EL_PROMPT, show_prompt);
    (void)el_set(e->el, EL_SIGNAL, 1);
    (void)el_wset(e->el, EL_HIST, history_w, e->history);
    (void)el_set(e->el, EL_EDITOR, "emacs");
    /* By its wide name: libedit never frees the copies that it makes of others. */
    (void)el_wset(e->el, EL_ADDFN, L"coord-complete", L"complete the word", complete_word);
    (void)el_set(e->el, EL_BIND, "^I", "coord-complete", NULL);
    (void)el_set(e->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
    take_signal_keys(e->el);
    (void)el_source(e->el, NULL); /* ~/.editrc */
    return e;
}

void line_editor_free(struct line_editor *e)
{
    if (e == NULL) {
        return;
    }
    if (e->el != NULL) {
        el_end(e->el);
        (void)sigaction(SIGINT, &e->interrupt_before, NULL);
    }
    if (e->history != NULL) {
        history_wend(e->history);
    }
    buf_close(&e->line);
    mem_free(e);
}

const char *line_editor_read(struct line_editor *e, const char *prompt)
{
    int size = 0;
    int waiting = 0;
    e->prompt = prompt;
    e->is_left = false;
    (void)el_set(e->el, EL_PREP_TERM, 1);
    e->is_typed_ahead = ioctl(STDIN_FILENO, FIONREAD, &waiting) == 0 && waiting > 0;
    errno = 0;
    const char *line = el_gets(e->el, &size);
    buf_clear(&e->line);
    if (line == NULL || size <= 0) {
        bool is_left = e->is_left || errno == EINTR;
        (void)fputs(is_left ? "^C\n" : "\n", stdout);
        (void)fflush(stdout);
        return is_left ? "" : NULL;
    }
    buf_append(&e->line, line, strcspn(line, "\n"));
    buf_append(&e->line, "", 1);
    return (const char *)e->line.data;
}

void line_editor_remember(struct line_editor *e, const char *line)
{
    HistEventW event;
    size_t size = strlen(line) + 1;
    wchar_t *wide = mem_zalloc(size * sizeof *wide);
    if (mbstowcs(wide, line, size) != (size_t)-1) {
        (void)history_w(e->history, &event, H_ENTER, wide);
    }
    mem_free(wide);
    if (e->history_file != NULL) {
        (void)history_w(e->history, &event, H_SAVE, e->history_file);
    }
}
