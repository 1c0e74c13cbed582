#include "cmd/coordctl/text/foreign.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* The first words of every answer are a command that exists; tests/cluster/contexts.py looks. */
static const struct foreign {
    const char *noun; /* or the command, if `word` is an option */
    const char *word;
    const char *answer;
} foreign[] = {
    /* etcdctl */
    {NULL, "put", "set PATH DATA, or create PATH DATA for a new node"},
    {NULL, "del", "rm PATH [--recursive]"},
    {NULL, "endpoint", "status, or doctor"},
    {NULL, "members", "member list"},
    {NULL, "alarm", "doctor"},
    {NULL, "check", "doctor, or bench write"},
    {NULL, "compact", "policy retention"},
    {NULL, "compaction", "policy retention"},
    {NULL, "move-leader", "member transfer [NAME]"},
    {NULL, "make-mirror", "export PATH [FILE], and import"},
    {NULL, "version", "--version, or status for that of the members"},
    {"get", "--prefix", "export PATH, or ls PATH --recursive"},
    {"get", "--keys-only", "ls PATH --recursive"},
    {"get", "--print-value-only", "--output raw"},
    {"watch", "--rev", "--from-revision N"},
    {"rm", "--prefix", "rm PATH --recursive"},
    {"lease", "timetolive", "lease ttl ID"},
    {"snapshot", "status", "snapshot inspect FILE"},
    {"snapshot", "restore", "coordd restore --from FILE"},
    {"role", "grant-permission", "role grant ROLE PATH RIGHTS"},
    {"role", "revoke-permission", "role revoke ROLE PATH RIGHTS"},
    {NULL, "--write-out", "--output FORMAT"},
    {NULL, "-w", "--output FORMAT"},
    {NULL, "--command-timeout", "--timeout TIME"},
    {NULL, "--dial-timeout", "--timeout TIME"},
    {NULL, "--password", "--user NAME:PASSWORD"},
    /* zkCli */
    {NULL, "delete", "rm PATH [--recursive]"},
    {NULL, "deleteall", "rm PATH --recursive"},
    {NULL, "rmr", "rm PATH --recursive"},
    {NULL, "ls2", "ls PATH -l"},
    {NULL, "getAcl", "acl get PATH"},
    {NULL, "setAcl", "acl set PATH RIGHTS:SCHEME:ID ..."},
    {NULL, "addauth", "--user NAME"},
    {NULL, "whoami", "auth whoami"},
    {NULL, "listquota", "quota get PATH"},
    {NULL, "setquota", "quota set PATH [--nodes N] [--bytes SIZE]"},
    {NULL, "delquota", "quota remove PATH"},
    {NULL, "getEphemerals", "lease ttl ID --paths"},
    {NULL, "getAllChildrenNumber", "rm PATH --recursive --dry-run"},
    {NULL, "addWatch", "watch PATH [--recursive]"},
    {NULL, "reconfig", "member add, remove or replace"},
    {NULL, "connect", "--endpoints HOST:PORT"},
    {NULL, "-server", "--endpoints HOST:PORT"},
    {"create", "-s", "--sequential"},
    {"create", "-c", "--container"},
    {"create", "-t", "--ttl TIME"},
    {"ls", "-R", "-r"},
    {"ls", "-s", "-l"},
    {"get", "-s", "stat PATH"},
    {"get", "-w", "watch PATH"},
    {"set", "-v", "--version N"},
    {"rm", "-v", "--version N"},
    /* a shell */
    {NULL, "cat", "get PATH"},
    {NULL, "mkdir", "create PATH [--parents]"},
    {NULL, "find", "ls PATH --recursive"},
};

const char *foreign_answer(const char *noun, const char *word)
{
    const char *answer = NULL;
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        const struct foreign *f = &foreign[i];
        bool is_any = f->noun == NULL && (noun == NULL || word[0] == '-');
        bool is_its = f->noun != NULL && noun != NULL && strcmp(f->noun, noun) == 0;
        if (strcmp(f->word, word) == 0 && (is_its || (is_any && answer == NULL))) {
            answer = f->answer;
        }
    }
    return answer;
}
