/* Points in time as people write them (RFC 3339), and as the log keeps them. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cmd/coordd/offline.h"

const char *offline_time_text(uint64_t wall_ms, char *text)
{
    struct tm utc;
    time_t seconds = (time_t)(wall_ms / 1000);
    if (gmtime_r(&seconds, &utc) == NULL) {
        memset(&utc, 0, sizeof utc);
    }
    (void)snprintf(text, OFFLINE_TIME_BYTES, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                   utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
                   utc.tm_sec, (int)(wall_ms % 1000));
    return text;
}

/* Days since 1970-01-01 in the Gregorian calendar: whole years of 400, then from March on, so that
 * the leap day is a year's last. */
static int64_t days_since_1970(int year, int month, int day)
{
    int from_march = (month + 9) % 12;
    int y = year - (month <= 2);
    int of_era = y % 400;
    int day_of_year = (153 * from_march + 2) / 5 + day - 1;
    int64_t day_of_era = (int64_t)of_era * 365 + of_era / 4 - of_era / 100 + day_of_year;
    return (int64_t)(y / 400) * 146097 + day_of_era - 719468;
}

static int days_of(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && is_leap);
}

/* "dddd-dd-ddTdd:dd:dd": digits and marks where they belong. */
static bool has_form(const char *text)
{
    static const char form[] = "0000-00-00T00:00:00";
    for (size_t i = 0; form[i] != '\0'; i++) {
        if (form[i] == '0' ? !isdigit((unsigned char)text[i]) : text[i] != form[i]) {
            return false;
        }
    }
    return true;
}

/* "Z", "+hh:mm", "-hh:mm", in minutes. */
static bool parse_offset(const char *text, int *minutes)
{
    int hour;
    int minute;
    int end = 0;
    *minutes = 0;
    if (strcmp(text, "Z") == 0) {
        return true;
    }
    bool is_form = (text[0] == '+' || text[0] == '-') && isdigit((unsigned char)text[1]) &&
                   sscanf(text + 1, "%2d:%2d%n", &hour, &minute, &end) == 2 && end == 5 &&
                   text[6] == '\0' && hour <= 23 && minute >= 0 && minute <= 59;
    if (is_form) {
        *minutes = (text[0] == '-' ? -1 : 1) * (hour * 60 + minute);
    }
    return is_form;
}

bool offline_time_parse(const char *text, uint64_t *wall_ms)
{
    int year;
    int month;
    int day;
    int hour;
    int minute;
    int second;
    int fraction = 0;
    int offset;
    if (!has_form(text) || sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d", &year, &month, &day, &hour,
                                  &minute, &second) != 6) {
        return false;
    }
    text += sizeof "0000-00-00T00:00:00" - 1;
    if (text[0] == '.') {
        int scale = 100;
        for (text++; isdigit((unsigned char)*text) && scale > 0; text++, scale /= 10) {
            fraction += (*text - '0') * scale;
        }
        if (scale == 100) {
            return false;
        }
    }
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days_of(year, month) ||
        hour > 23 || minute > 59 || second > 59 || !parse_offset(text, &offset)) {
        return false;
    }
    int64_t seconds = days_since_1970(year, month, day) * 86400 + hour * 3600 + minute * 60 +
                      second - offset * 60;
    *wall_ms = seconds < 0 ? 0 : (uint64_t)seconds * 1000 + (uint64_t)fraction;
    return seconds >= 0;
}
