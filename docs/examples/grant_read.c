/* Lets machines of a network read a node, besides whoever may do what with it already:
 *
 *     grant_read /app/config 10.1.0.0/16
 *
 * An access control list is replaced as a whole. So the new one is made of the one that was read,
 * and set only if that is still in force: who changes the list at the same time loses nothing. */
#include <coord/acls.h>

#include <stdio.h>
#include <stdlib.h>

static void show(const struct coord_acl_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        printf("%2u %s:%s\n", (unsigned)list->entries[i].permissions, list->entries[i].scheme,
               list->entries[i].id);
    }
    printf("version %u\n", (unsigned)list->version);
}

/* Once. COORD_BAD_VERSION: the list has changed since it was read. */
static enum coord_code add(struct coord_client *client, const char *path, const char *network,
                           struct coord_error *error)
{
    struct coord_acl_list list;
    enum coord_code code = coord_acl_get(client, path, &list, NULL, error);
    if (code != COORD_OK) {
        return code;
    }
    struct coord_acl *entries = calloc(list.count + 1, sizeof *entries);
    if (entries == NULL) {
        coord_acl_clear(&list);
        error->message[0] = '\0';
        return COORD_NO_MEMORY;
    }
    for (size_t i = 0; i < list.count; i++) {
        entries[i] = list.entries[i];
    }
    entries[list.count] =
        (struct coord_acl){.permissions = COORD_ACL_READ, .scheme = "ip", .id = network};
    code =
        coord_acl_set(client, path, entries, list.count + 1, list.version, NULL, NULL, error);
    free(entries);
    coord_acl_clear(&list);
    return code;
}

int main(int argc, char **argv)
{
    const struct coord_options options = {.endpoints = getenv("COORD_ENDPOINTS"),
                                          .note = "grant_read"};
    struct coord_client *client;
    struct coord_error error;
    struct coord_acl_list list;
    if (argc != 3) {
        fprintf(stderr, "usage: grant_read PATH ADDRESS/BITS\n");
        return 2;
    }
    if (coord_open(&options, &client, &error) != COORD_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    enum coord_code code;
    do {
        code = add(client, argv[1], argv[2], &error);
    } while (code == COORD_BAD_VERSION);
    if (code == COORD_OK) {
        code = coord_acl_get(client, argv[1], &list, NULL, &error);
    }
    if (code == COORD_OK) {
        show(&list);
        coord_acl_clear(&list);
    } else {
        fprintf(stderr, "%s: %s\n", coord_code_text(code), error.message);
    }
    coord_close(client);
    return code == COORD_OK ? 0 : 1;
}
