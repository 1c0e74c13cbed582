#include "client/guard_list.h"

#include "client/convert.h"
#include "client/error.h"

enum coord_code guard_list_fill(struct guard_list *list, const struct coord_guard *guards,
                                size_t count, struct coord_error *error)
{
    if (count > GUARDS_MAX) {
        return client_fail(error, COORD_INVALID, "%zu guards: at most %d are possible", count,
                           GUARDS_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        if (guards[i].kind != coord_guard_held("", 0).kind) {
            return client_fail(error, COORD_INVALID,
                               "guard %zu is none of coord_guard_held or coord_lock_guard",
                               i + 1);
        }
        coord__v1__lock_grant__init(&list->grants[i]);
        list->grants[i].path = convert_text(guards[i].path);
        list->grants[i].revision = guards[i].number;
        list->places[i] = &list->grants[i];
    }
    return COORD_OK;
}
