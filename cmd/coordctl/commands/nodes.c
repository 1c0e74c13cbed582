/* Nodes, and what keeps them or limits them: sessions, leases, policies, quotas. */
#include "cmd/coordctl/commands/groups.h"

static const struct command commands[] = {
    {"create", ctl_create, 1, 2, BEHIND_DATA,
     "sequential parents ephemeral container ttl session-ttl session lease owner guard",
     "create PATH [DATA] [KIND] [--sequential] [--parents]", "make a node, print its path",
     DATA_HELP
     "Without DATA the value is empty. KIND is one of\n"
     "  --ephemeral    with a session of its own, which this command keeps alive until SIGINT\n"
     "                 or SIGTERM and then closes; with --session it returns at once\n"
     "  --container    goes when its last child has gone\n"
     "  --ttl TIME     goes when it was not changed for so long and has no children\n"
     "  coordctl create /app/config '{\"debug\":false}' --parents\n"
     "  coordctl create /queue/job- @job.json --sequential\n"
     "  coordctl create /workers/w1 10.0.0.7 --ephemeral --session-ttl 10s\n"
     "  coordctl create /cache/x 1 --ttl 30s\n"},
    {"get", ctl_get, 1, 1, BEHIND_NOTHING, "rev", "get PATH [--rev N]", "print a node's value",
     "Prints exactly the value's bytes, and on a terminal, without -o raw, a newline.\n"
     "  coordctl get /app/config >config.json\n"
     "  coordctl get /app/config --rev 1200\n"},
    {"set", ctl_set, 2, 2, BEHIND_DATA, "version session guard", "set PATH DATA [--version N]",
     "replace a node's value",
     DATA_HELP "  coordctl set /app/config @config.json --version 3\n"
               "  coordctl set /app/offset -5\n"
               "  coordctl set /app/flags -- --verbose\n"},
    {"rm", ctl_rm, 1, 1, BEHIND_NOTHING, "recursive version dry-run session guard",
     "rm PATH [--recursive [--dry-run]] [--version N]", "delete a node",
     "With --recursive all that is below it too, atomically, and says how many that were.\n"
     "  coordctl rm /app --recursive --dry-run\n"},
    {"ls", ctl_ls, 0, 1, BEHIND_NOTHING, "long recursive", "ls [PATH] [-l] [--recursive]",
     "list children", "  coordctl ls /app -l\n"},
    {"tree", ctl_tree, 0, 1, BEHIND_NOTHING, "", "tree [PATH]", "draw all that is below a node",
     "  coordctl tree /app\n"},
    {"stat", ctl_stat, 1, 1, BEHIND_NOTHING, "", "stat PATH",
     "print all that is known about a node", "  coordctl stat /app/config -o json\n"},
    {"watch", ctl_watch, 1, 1, BEHIND_PROGRAM,
     "recursive children prefix depth from-revision prev once list glob types keys-only diff exec",
     "watch PATH [--recursive] [...] [-- CMD ...]", "print changes as they come",
     "A line for each change, on a terminal with what is different from before (--diff); with\n"
     "-o json or jsonl an object each. Goes on at another endpoint when one fails, without a gap\n"
     "or a repeat, until SIGINT (130) or SIGTERM (143). Behind -- a program is run for each\n"
     "change instead, one at a time, with it in the environment: COORD_EVENT_TYPE,\n"
     "COORD_PATH, COORD_REVISION, COORD_REASON, COORD_EVENT_NOTE, COORD_EVENT_SESSION,\n"
     "COORD_VALUE (COORD_VALUE_BASE64 if it is no text; neither if it is larger than 90 KiB),\n"
     "COORD_VALUE_BYTES, with --prev COORD_PREV_VALUE alike. --exec does so with a command of\n"
     "the shell.\n"
     "  coordctl watch /app --recursive --prev -o jsonl\n"
     "  coordctl watch /app/config --from-revision 1200\n"
     "  coordctl watch /app --recursive --exec 'echo \"$COORD_PATH is $COORD_VALUE\"'\n"
     "  coordctl watch /app/config -- systemctl reload app\n"},
    {"history", ctl_history, 1, 1, BEHIND_NOTHING,
     "recursive limit reverse from-revision keys-only",
     "history PATH [--recursive] [--limit N] [--reverse]", "what a node was, when, by whom",
     "  coordctl history /app/config --reverse --limit 10\n"},
    {"diff", ctl_diff, 2, 3, BEHIND_NOTHING, "recursive", "diff PATH REV1 [REV2] [--recursive]",
     "compare two revisions, or one with now",
     "  coordctl diff /app/config 1200\n"
     "  coordctl diff /app 1200 1300 --recursive\n"},
    {"txn", ctl_txn, 0, 0, BEHIND_NOTHING, "file session guard", "txn -f FILE",
     "run a transaction written in JSON",
     "FILE may be - for standard input. All guards of \"if\" hold: \"then\" is done, else\n"
     "\"else\"; all of it or nothing. Guards that do not hold are exit code 4, unless there\n"
     "is an \"else\".\n"
     "  {\"if\":   [{\"path\": \"/a\", \"version\": 3}],\n"
     "   \"then\": [{\"set\": \"/a\", \"data\": \"x\"}, {\"create\": \"/b\"}],\n"
     "   \"else\": [{\"get\": \"/a\"}]}\n"
     "  coordctl txn -f change.json\n"},
    {"session open", ctl_session_open, 0, 0, BEHIND_NOTHING, "ttl owner",
     "session open [--ttl TIME] [--owner TEXT]", "begin a session, print ID:SECRET",
     "It lives for its TTL (default 10s) unless it is kept alive. Keep what is printed: "
     "whoever\n"
     "has it can use the session.\n"
     "  COORD_SESSION=$(coordctl session open --ttl 1m)\n"},
    {"session list", ctl_session_list, 0, 0, BEHIND_NOTHING, "", "session list",
     "list the open sessions", "  coordctl session list\n"},
    {"session keepalive", ctl_session_keepalive, 0, 1, BEHIND_NOTHING, "session once",
     "session keepalive ID:SECRET [--once]", "keep a session alive until a signal",
     "SIGINT and SIGTERM end it with 0 and leave the session open. With --once a single time.\n"
     "  coordctl session keepalive \"$COORD_SESSION\"\n"},
    {"session close", ctl_session_close, 0, 1, BEHIND_NOTHING, "session",
     "session close ID:SECRET", "end a session and its ephemeral nodes",
     "  coordctl session close \"$COORD_SESSION\"\n"},
    {"lease grant", ctl_lease_grant, 1, 1, BEHIND_NOTHING, "owner not-renewable",
     "lease grant TTL [--owner TEXT] [--not-renewable]", "make a lease, print its id",
     "  lease=$(coordctl lease grant 30s)\n"
     "  coordctl create /workers/w1 --ephemeral --lease \"$lease\"\n"},
    {"lease keepalive", ctl_lease_keepalive, 1, 1, BEHIND_NOTHING, "once",
     "lease keepalive ID [--once]", "keep a lease alive until a signal",
     "  coordctl lease keepalive 5d41402abc4b2a76\n"},
    {"lease revoke", ctl_lease_revoke, 1, 1, BEHIND_NOTHING, "", "lease revoke ID",
     "end a lease and its ephemeral nodes", "  coordctl lease revoke 5d41402abc4b2a76\n"},
    {"lease ttl", ctl_lease_ttl, 1, 1, BEHIND_NOTHING, "paths", "lease ttl ID [--paths]",
     "how long a lease or session still lives",
     "  coordctl lease ttl 5d41402abc4b2a76 --paths\n"},
    {"lease list", ctl_lease_list, 0, 0, BEHIND_NOTHING, "", "lease list",
     "list leases that are no sessions", "  coordctl lease list -o json\n"},
    {"policy list", ctl_policy_list, 0, 0, BEHIND_NOTHING, "", "policy list",
     "which subtrees keep versions", "  coordctl policy list\n"},
    {"policy set", ctl_policy_set, 2, 2, BEHIND_NOTHING, "", "policy set PATH VERSIONS",
     "keep the last versions of all nodes below", "  coordctl policy set /app/config 100\n"},
    {"policy unset", ctl_policy_unset, 1, 1, BEHIND_NOTHING, "", "policy unset PATH",
     "keep them no longer", "  coordctl policy unset /app/config\n"},
    {"policy retention", ctl_policy_retention, 0, 0, BEHIND_NOTHING, "bytes age revisions",
     "policy retention [--bytes SIZE] [--age TIME] [...]",
     "show or set what the change log keeps",
     "What is not given stays as it is.\n"
     "  coordctl policy retention --age 24h --bytes 256M\n"},
    {"quota set", ctl_quota_set, 1, 1, BEHIND_NOTHING, "bytes nodes soft",
     "quota set PATH [--bytes SIZE] [--nodes N] [--soft PERCENT]",
     "bound what a node and all below it may hold",
     "What is not given stays as it is. Bytes are those of values and of whole paths. Deletion\n"
     "and expiry are never refused, whatever the quota.\n"
     "  coordctl quota set /app --bytes 64M --nodes 10000 --soft 80\n"},
    {"quota get", ctl_quota_get, 1, 1, BEHIND_NOTHING, "", "quota get PATH",
     "what is used of a quota", "  coordctl quota get /app -o json\n"},
    {"quota list", ctl_quota_list, 0, 0, BEHIND_NOTHING, "", "quota list",
     "all quotas, with what is used of them", "  coordctl quota list\n"},
    {"quota remove", ctl_quota_remove, 1, 1, BEHIND_NOTHING, "", "quota remove PATH",
     "bound it no longer", "  coordctl quota remove /app\n"},
};
const struct command_group commands_nodes = {commands, sizeof commands / sizeof commands[0]};
