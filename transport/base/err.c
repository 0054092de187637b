/* SPDX-License-Identifier: MIT */
/* Words and errnos for the error table. */
#include "transport/base/err.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static const struct {
    int err;
    int answer;
    const char *text;
} table[] = {
    {FTX_EPROTO, EPROTO, "the peer broke the protocol"},
    {FTX_EAUTH, EKEYREJECTED, "authentication failed"},
    {FTX_EVERSION, EPROTONOSUPPORT, "no protocol version in common"},
    {FTX_EROLE, EPROTO, "both ends armed the code in the same role"},
    {FTX_ELOCKED, EACCES, "the code is locked after too many failed guesses"},
    {FTX_ECORRUPT, EIO, "stored data is damaged"},
    {FTX_ECHANGED, EAGAIN, "the data changed while it was read"},
    {FTX_ELIMIT, EFBIG, "a limit was reached"},
    {FTX_EREPLACED, EIO, "a newer connection took over"},
    {FTX_ELOST, EIO, "the peer lost its state"},
};

const char *ftx_err_text(int err)
{
    if (err == 0)
        return "no error";
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].err == err)
            return table[i].text;
    if (err == -4095)
        return "the connection was closed"; /* UV_EOF */
    if (err <= -3000 && err > -3020)
        return "the host name cannot be resolved"; /* UV_EAI_* */
    if (err < 0 && err > -4000) {
        const char *text = strerrordesc_np(-err);
        if (text)
            return text;
    }
    return "unknown error";
}

int ftx_err_errno(int err)
{
    if (err >= 0)
        return 0;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].err == err)
            return table[i].answer;
    return err > -3000 && strerrordesc_np(-err) ? -err : EIO;
}
