/* The table of commands, and the help that is made from it. */
#include <stdio.h>
#include <string.h>

#include "cmd/coordctl/ctl.h"
#include "cmd/coordctl/text/foreign.h"
#include "cmd/coordctl/text/similar.h"

#define DATA_HELP                                                              \
    "DATA is the argument itself, - for standard input, @FILE for a file's\n"  \
    "content. Data that begins with - and is no number goes behind --, data\n" \
    "that begins with @ through standard input.\n"

#define POLICY_HELP                                                              \
    "  replicas    of each shard; zone_max of them in one zone; tags of their nodes\n"  \
    "  promote     who leads after a loss: fresh, idle or priority; unclean=yes: whoever\n" \
    "              is back first, if all were lost\n"                                  \
    "  automatic   no, repair, fill or balance by itself; nodes are lost after lost_after;\n" \
    "              a balance begins at imbalance=0.2 and ends at target=0.1 of what\n"  \
    "              balance says: replicas, bytes, rows or qps\n"                       \
    "  concurrent  moves at a time, with so much bandwidth in all, for at most timeout each,\n" \
    "              begun within hours=HH:MM-HH:MM (UTC)\n"

#define BENCH_OPTIONS "protocol connections in-flight duration warm-up processes "

const struct command commands[] = {
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
     "COORD_PATH, COORD_REVISION, COORD_REASON, COORD_NOTE, COORD_EVENT_SESSION, COORD_VALUE\n"
     "(COORD_VALUE_BASE64 if it is no text; neither if it is larger than 90 KiB),\n"
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
    {"svc register", ctl_svc_register, 2, 2, BEHIND_PROGRAM,
     "id tag zone weight meta check check-interval only-new session-ttl session lease owner",
     "svc register SERVICE ADDRESS:PORT [...] [-- CMD ...]", "say that an instance serves",
     "Registered as long as this command runs, in a session of its own; with --session or --lease\n"
     "it returns at once. Behind -- a program is run meanwhile: signals are handed on to it,\n"
     "and when it ends the instance is gone and its exit code is returned. Asked to end, the\n"
     "instance drains at once, so that it gets no new work while the program finishes.\n"
     "With --check heartbeat it is expected to say by svc heartbeat that it lives.\n"
     "  coordctl svc register web 10.0.0.7:8080 --zone a --tag canary --check /health\n"
     "  coordctl svc register web 10.0.0.7:8080 --id web-1 -- ./server --port 8080\n"},
    {"svc deregister", ctl_svc_deregister, 2, 2, BEHIND_NOTHING, "", "svc deregister SERVICE ID",
     "take an instance away", "  coordctl svc deregister web web-1\n"},
    {"svc drain", ctl_svc_drain, 2, 2, BEHIND_NOTHING, "undo", "svc drain SERVICE ID [--undo]",
     "give an instance no new work", "  coordctl svc drain web web-1\n"},
    {"svc heartbeat", ctl_svc_heartbeat, 2, 2, BEHIND_NOTHING,
     "cpu mem qps latency queue interval",
     "svc heartbeat SERVICE ID [--cpu PART] [...] [--interval TIME]", "say that an instance lives",
     "With what it has to do, for those who look for the least loaded one. Prints its health.\n"
     "With --interval it goes on until it is stopped, and prints the health when that changes.\n"
     "  coordctl svc heartbeat web web-1 --cpu 0.35 --qps 120 --latency 12ms --queue 4\n"
     "  coordctl svc heartbeat web web-1 --interval 5s\n"},
    {"svc list", ctl_svc_list, 0, 0, BEHIND_NOTHING, "long", "svc list [--long]",
     "list the services, with how many instances",
     "With --long: how many are in which health, their load (cpu on average, the rest in sum)\n"
     "and the highest suspicion.\n"
     "  coordctl svc list --long\n"},
    {"svc get", ctl_svc_get, 1, 1, BEHIND_NOTHING, "tag zone health all",
     "svc get SERVICE [--tag TAG] [--zone ZONE] [--health STATE] [--all]",
     "list the instances of a service",
     "With their load and suspicion (phi), where there are heartbeats or checks. Those that\n"
     "are draining or down are left out, unless --all is given or --health says what is wanted.\n"
     "  coordctl svc get web --zone a -o json\n"
     "  coordctl svc get web --health slow --health unstable\n"},
    {"svc watch", ctl_svc_watch, 1, 1, BEHIND_NOTHING, "tag zone health reports once",
     "svc watch SERVICE [--tag TAG] [--zone ZONE] [--health STATE] [--reports] [--once]",
     "print its instances, then their changes as they come",
     "A line for each instance that is there, is new, changes or goes; \"synced\" when all is\n"
     "known up to a revision. Goes on at another endpoint when one fails. With --once it ends\n"
     "when the list is whole.\n"
     "  coordctl svc watch web -o jsonl\n"},
    {"shard create", ctl_shard_create, 1, 16, BEHIND_NOTHING, "",
     "shard create PATH NAME=VALUE ...", "make a shard map",
     "  strategy    hash (default; slots=16384), range (bounds=KEY,...), directory or ring\n"
     "  shards      how many; of range one more than there are bounds\n" POLICY_HELP
     "  coordctl shard create /search/docs shards=64 replicas=3 zone_max=1 automatic=balance\n"
     "  coordctl shard create /db/users strategy=range bounds=g,p replicas=2\n"},
    {"shard configure", ctl_shard_configure, 2, 16, BEHIND_NOTHING, "",
     "shard configure PATH NAME=VALUE ...", "change the policy of a shard map",
     "What is not named stays as it is.\n" POLICY_HELP
     "  coordctl shard configure /search/docs concurrent=4 bandwidth=100M hours=22:00-06:00\n"},
    {"shard drop", ctl_shard_drop, 1, 1, BEHIND_NOTHING, "", "shard drop PATH",
     "remove a shard map that no node takes part in", "  coordctl shard drop /search/docs\n"},
    {"shard status", ctl_shard_status, 1, 1, BEHIND_NOTHING, "", "shard status PATH",
     "show who has which shard, and what moves",
     "A line for each shard: leader, replicas, epoch, state (ok, degraded, leaderless, nowhere,\n"
     "or that of its move) and progress; then the imbalance, the moves and when they are over.\n"
     "  coordctl shard status /search/docs\n"},
    {"shard plan", ctl_shard_plan, 1, 2, BEHIND_NOTHING, "", "shard plan PATH [GOAL]",
     "show what is to be moved, and why; nothing begins",
     "GOAL is repair (what is lost, missing or against a rule), fill (and nodes that hold\n"
     "nothing get their share) or balance (and the load is evened out; default).\n"
     "  coordctl shard plan /search/docs\n"
     "  coordctl shard plan /search/docs repair -o json\n"},
    {"shard apply", ctl_shard_apply, 1, 2, BEHIND_NOTHING, "", "shard apply PATH [GOAL]",
     "make a plan and begin it",
     "GOAL as of shard plan. Refused if the map has changed meanwhile: then again.\n"
     "  coordctl shard apply /search/docs repair\n"},
    {"shard watch", ctl_shard_watch, 1, 1, BEHIND_NOTHING, "once", "shard watch PATH [--once]",
     "print assignments, moves and nodes, and then what changes",
     "Until SIGINT (130) or SIGTERM (143); with --once only what there is.\n"
     "  coordctl shard watch /search/docs\n"},
    {"shard move", ctl_shard_move, 4, 4, BEHIND_NOTHING, "",
     "shard move PATH SHARD FROM TO", "move a replica, add or drop one, or let another one lead",
     "For FROM TO stands also add TO, drop FROM or lead TO.\n"
     "Where nobody leads, as all who have the shard were lost, lead says who shall: what he lacks\n"
     "of what was written last is lost.\n"
     "  coordctl shard move /search/docs 7 n1 n4\n"
     "  coordctl shard move /search/docs 7 lead n2\n"},
    {"shard abort", ctl_shard_abort, 2, 16, BEHIND_NOTHING, "", "shard abort PATH MOVE ...",
     "take moves back", "  coordctl shard abort /search/docs 12\n"},
    {"shard hold", ctl_shard_hold, 2, 16, BEHIND_NOTHING, "", "shard hold PATH MOVE ...",
     "keep moves from going on", "  coordctl shard hold /search/docs 12\n"},
    {"shard resume", ctl_shard_resume, 2, 16, BEHIND_NOTHING, "", "shard resume PATH MOVE ...",
     "let moves go on", "  coordctl shard resume /search/docs 12\n"},
    {"shard split", ctl_shard_split, 2, 3, BEHIND_NOTHING, "", "shard split PATH SHARD [AT]",
     "make two shards of one",
     "AT is the slot where the new one begins (by default in the middle), of a range the key.\n"
     "Both stay where the data is.\n"
     "  coordctl shard split /search/docs 7\n"
     "  coordctl shard split /db/users 1 k\n"},
    {"shard merge", ctl_shard_merge, 3, 3, BEHIND_NOTHING, "", "shard merge PATH SHARD BEHIND",
     "let a shard take in the one behind it", "Both are on the same nodes.\n"
     "  coordctl shard merge /search/docs 7 64\n"},
    {"shard set", ctl_shard_set, 3, 16, BEHIND_NOTHING, "",
     "shard set PATH SHARD NAME=VALUE ...", "say what one shard needs",
     "  replicas    as many; without it as many as the map says\n"
     "  tags        that its nodes must have, beside those of the map\n"
     "  pin         a node that must have a replica\n"
     "  weight      of a ring: its share of the keys\n"
     "  coordctl shard set /search/docs 7 replicas=5\n"},
    {"shard key", ctl_shard_key, 2, 3, BEHIND_NOTHING, "", "shard key PATH KEY [SHARD]",
     "say which shard of a directory has a key; without one, none",
     "  coordctl shard key /tenants/map acme 3\n"},
    {"shard join", ctl_shard_join, 3, 16, BEHIND_NOTHING, "lease session session-ttl owner",
     "shard join PATH NODE ADDRESS [NAME=VALUE ...]", "let a node take part in a shard map",
     "Until SIGINT or SIGTERM, in a session of its own; with --lease or --session as long as\n"
     "that lives. NAME is zone, tags, weight, capacity (bytes), capacity_replicas, priority\n"
     "or drain=yes (takes nothing new, and is left).\n"
     "  coordctl shard join /search/docs n4 10.0.0.4:9200 zone=b weight=200\n"},
    {"shard leave", ctl_shard_leave, 2, 2, BEHIND_NOTHING, "session", "shard leave PATH NODE",
     "let a node take part no more", "  coordctl shard leave /search/docs n4\n"},
    {"shard locate", ctl_shard_locate, 2, 2, BEHIND_NOTHING, "", "shard locate PATH KEY",
     "say which shard has a key, and who leads it",
     "  coordctl shard locate /search/docs document-17\n"},
    {"config init", ctl_config_init, 1, 1, BEHIND_NOTHING, "versions open",
     "config init PATH [--versions N] [--open]", "make a subtree a configuration",
     "What is there already stays. From then on values below are written by config commands\n"
     "alone, unless --open lets others in. On one that is there: changes how much it keeps.\n"
     "  coordctl config init /config/shop --versions 50\n"},
    {"config drop", ctl_config_drop, 1, 1, BEHIND_NOTHING, "", "config drop PATH",
     "make it plain nodes again", "  coordctl config drop /config/shop\n"},
    {"config list", ctl_config_list, 0, 0, BEHIND_NOTHING, "", "config list",
     "all configurations", "  coordctl config list\n"},
    {"config get", ctl_config_get, 1, 1, BEHIND_NOTHING, "recursive rev",
     "config get KEY [--recursive] [--rev N]", "print a value, or all below",
     "Of one key exactly the value's bytes, and on a terminal, without -o raw, a newline.\n"
     "  coordctl config get /config/shop/limits\n"
     "  coordctl config get /config/shop --recursive --rev 1200\n"},
    {"config set", ctl_config_set, 2, 2, BEHIND_DATA, "version",
     "config set KEY VALUE [--version N]", "set a key, which need not be there",
     DATA_HELP "Refused unless the schema of the key allows it.\n"
               "  coordctl config set /config/shop/limits '{\"max\":10}' --note 'sale'\n"
               "  coordctl config set /config/shop/limits @limits.json --version 3\n"},
    {"config update", ctl_config_update, 0, 0, BEHIND_NOTHING, "file", "config update -f FILE",
     "change many keys at once, or none",
     "FILE is a JSON list of {\"key\", and one of \"value\" (any JSON), \"text\" and\n"
     "\"delete\": true; optionally \"version\": N or \"absent\": true}.\n"
     "  coordctl config update -f changes.json\n"},
    {"config watch", ctl_config_watch, 1, 1, BEHIND_PROGRAM,
     "recursive from-revision once types effective labels",
     "config watch KEY [--recursive] [...] [-- CMD ...]",
     "print changes as they come, with what was before",
     "As watch does, which says what a program behind -- finds in its environment.\n"
     "  coordctl config watch /config/shop --recursive -o jsonl\n"
     "  coordctl config watch /config/shop/limits --effective web-1 --labels zone=a\n"},
    {"config history", ctl_config_history, 1, 1, BEHIND_NOTHING,
     "recursive from-revision reverse limit", "config history KEY [--recursive] [--reverse] [...]",
     "who changed it, when and why",
     "  coordctl config history /config/shop --recursive --reverse --limit 20\n"},
    {"config diff", ctl_config_diff, 2, 3, BEHIND_NOTHING, "", "config diff KEY REV1 [REV2]",
     "what differs at and below a key between two revisions",
     "Without REV2: from then to now.\n"
     "  coordctl config diff /config/shop 1200 1300\n"},
    {"config rollback", ctl_config_rollback, 2, 2, BEHIND_NOTHING, "recursive dry-run",
     "config rollback KEY REV [--recursive] [--dry-run]", "make it again what it was",
     "By a new revision, which prints what it changes. Schemas stay as they are, and must allow\n"
     "it.\n"
     "  coordctl config rollback /config/shop 1200 --recursive --dry-run\n"},
    {"config rollout", ctl_config_rollout, 2, 3, BEHIND_DATA,
     "strategy percents step labels ids gate gate-health plan",
     "config rollout start|status|promote|rollback|pause|list KEY [...]",
     "give instances a new value step by step",
     "  start KEY VALUE    begin; --percents 10,50,100 are the steps of progressive, one of a\n"
     "                     canary; --labels and --ids say which instances it is for\n"
     "  status KEY         how far it is\n"
     "  promote KEY        the next step; from the last one the key itself is set\n"
     "  finish KEY         the same at once\n"
     "  rollback KEY       nobody sees the value any more\n"
     "  pause, resume KEY  no steps by time; the gate still counts\n"
     "  list KEY           all rollouts of the configuration\n" DATA_HELP
     "  coordctl config rollout start /config/shop/limits '{\"max\":20}' --percents 10,50,100 \\\n"
     "      --step 10m --gate /health/shop=ok --gate-health shop=90\n"
     "  coordctl config rollout promote /config/shop/limits\n"},
    {"config effective", ctl_config_effective, 2, 2, BEHIND_NOTHING, "labels",
     "config effective KEY INSTANCE [--labels NAME=VALUE,...]",
     "the value that is meant for an instance",
     "  coordctl config effective /config/shop/limits web-1 --labels zone=a\n"},
    {"config schema", ctl_config_schema, 1, 3, BEHIND_DATA, "",
     "config schema set|get|check|list|remove PATH [DATA]", "what values may be",
     "  set PATH SCHEMA    attach a JSON schema to a node, for it and all below\n"
     "  get KEY            the schema that counts for a key\n"
     "  check KEY [VALUE]  whether a value would be let in; without one, all that is there\n"
     "  list PATH          where schemas are attached\n"
     "  remove PATH        none there any more\n" DATA_HELP
     "  coordctl config schema set /config/shop @schema.json\n"
     "  coordctl config schema check /config/shop\n"},
    {"snapshot save", ctl_snapshot_save, 1, 1, BEHIND_NOTHING, "force",
     "snapshot save FILE [--force]", "copy the whole state into a file",
     "A SQLite database, also for the sqlite3 shell. FILE may be - for standard output. It has\n"
     "its name when it is whole, proved and on disk. Whoever has it has every value and every\n"
     "session's secret.\n"
     "  coordctl snapshot save backup.db\n"
     "  coordctl snapshot save - | ssh vault 'cat >coord.db'\n"},
    {"snapshot inspect", ctl_snapshot_inspect, 1, 1, BEHIND_NOTHING, "",
     "snapshot inspect FILE", "prove such a file, and say what is in it",
     "Needs no cluster.\n"
     "  coordctl snapshot inspect backup.db -o json\n"},
    {"lock", ctl_lock, 1, CTL_WORDS_MAX, BEHIND_PROGRAM,
     "try wait read write permits limit session session-ttl",
     "lock NAME ... [--try] [--wait TIME] [--read] [-- CMD ...]",
     "hold a lock while a program runs",
     "NAME is a path, or the name of a lock below /locks. Of several all are held, or none. CMD\n"
     "finds COORD_LOCK, COORD_LOCK_EPOCH, COORD_LOCK_PATH and COORD_LOCK_REVISION in its\n"
     "environment, and COORD_GUARD, by which what coordctl writes inside is refused once the\n"
     "lock is not held any more. Its exit code is returned; signals are passed on. When the lock\n"
     "is lost, or may be, CMD gets SIGTERM, and SIGKILL before anybody else can have it. Without\n"
     "CMD it prints the grant, PATH@REVISION, and its epoch, and holds it until a signal.\n"
     "--permits N --limit M: a semaphore of M permits. --note says why, to those who wait.\n"
     "  coordctl lock db -- ./migrate.sh\n"
     "  coordctl lock db --wait 10s --note migration -- ./migrate.sh\n"
     "  coordctl lock cpu --permits 2 --limit 8 -- make -j2\n"},
    {"lock get", ctl_lock_get, 1, 1, BEHIND_NOTHING, "", "lock get NAME",
     "who holds a lock, and who waits, in order", "  coordctl lock get db\n"},
    {"lock list", ctl_lock_list, 0, 1, BEHIND_NOTHING, "limit", "lock list [PATH] [--limit N]",
     "the locks at or below a path",
     "Without PATH all; a name is below /locks. Those that nobody holds are not there.\n"
     "  coordctl lock list\n"
     "  coordctl lock list /locks/shop -o json\n"},
    {"lock explain", ctl_lock_explain, 1, 1, BEHIND_NOTHING, "limit",
     "lock explain NAME [--limit N] [-o dot]", "who holds a lock, and who waits because of whom",
     "The waits begin with those for this lock, and go on with what those wait for that are in\n"
     "the way. With -o dot they are a graph for Graphviz. --limit: so many waits at most.\n"
     "  coordctl lock explain db\n"
     "  coordctl lock explain db -o dot | dot -Tsvg >db.svg\n"},
    {"lock ask-release", ctl_lock_ask_release, 1, 1, BEHIND_NOTHING, "owner",
     "lock ask-release NAME [--note TEXT] [--owner TEXT]", "tell its holders that it is wanted",
     "They are told who asks (--owner, unless the cluster knows) and why (--note), and decide.\n"
     "  coordctl lock ask-release db --owner ann --note 'a fix is waiting'\n"},
    {"lock remove", ctl_lock_remove, 1, 1, BEHIND_NOTHING, "", "lock remove ENTRY[@REVISION]",
     "take a lock from who holds it, or a place in its queue",
     "ENTRY is what lock get shows. Takes the right admin. The next one is granted the lock at\n"
     "once; writes that the former holder guards with its grant are refused.\n"
     "  coordctl lock remove /locks/db/q-0000000007\n"},
    {"counter add", ctl_counter_add, 1, 2, BEHIND_NOTHING, "min max",
     "counter add NAME [N] [--min N] [--max N]", "add to a counter, and print its value",
     "NAME is a path, or a name below /counters; N is 1 unless given, and may be negative. What\n"
     "would go beyond --max, or below --min, is refused, and nothing is changed.\n"
     "  coordctl counter add jobs\n"
     "  coordctl counter add seats -2 --min 0\n"},
    {"counter get", ctl_counter_get, 1, 1, BEHIND_NOTHING, "", "counter get NAME",
     "print the value of a counter", "  coordctl counter get jobs\n"},
    {"counter ids", ctl_counter_ids, 2, 2, BEHIND_NOTHING, "max",
     "counter ids NAME COUNT [--max N]", "take a block of ids that nobody else is given",
     "NAME is a path, or a name below /ids. Prints the first one and the last one.\n"
     "  coordctl counter ids orders 100\n"},
    {"latch set", ctl_latch_set, 2, 2, BEHIND_NOTHING, "", "latch set NAME COUNT",
     "make a latch, or set it anew",
     "NAME is a path, or a name below /latches. Set to 1 it is a gate that is shut.\n"
     "  coordctl latch set start 3\n"},
    {"latch count-down", ctl_latch_count_down, 1, 2, BEHIND_NOTHING, "",
     "latch count-down NAME [N]", "count it down, to 0 at last",
     "Prints what is left.\n"
     "  coordctl latch count-down start\n"},
    {"latch get", ctl_latch_get, 1, 1, BEHIND_NOTHING, "", "latch get NAME",
     "print the count of a latch", "  coordctl latch get start\n"},
    {"latch await", ctl_latch_await, 1, 1, BEHIND_NOTHING, "", "latch await NAME",
     "end once the count is 0",
     "However long it takes, unless --timeout is given.\n"
     "  coordctl latch await start && ./go.sh\n"},
    {"barrier get", ctl_barrier_get, 1, 1, BEHIND_NOTHING, "", "barrier get NAME",
     "who is inside a barrier, and who waits, in order",
     "NAME is a path, or a name below /barriers.\n"
     "  coordctl barrier get import\n"},
    {"barrier remove", ctl_barrier_remove, 1, 1, BEHIND_NOTHING, "",
     "barrier remove ENTRY[@REVISION]", "take a party out of a barrier",
     "ENTRY is what barrier get shows. Takes the right admin.\n"
     "  coordctl barrier remove /barriers/import/q-0000000007\n"},
    {"elect", ctl_elect, 2, 2, BEHIND_PROGRAM,
     "name priority try wait session session-ttl",
     "elect ELECTION VALUE [--name NAME] [--priority N] [-- CMD ...]",
     "run a program while one leads",
     "ELECTION is a path, or a name below /elections; VALUE is what others shall know of the\n"
     "leader, such as its address. CMD is run, told and ended as by lock; it finds\n"
     "COORD_ELECTION, COORD_ELECTION_EPOCH, COORD_ELECTION_PATH and COORD_ELECTION_REVISION,\n"
     "and COORD_GUARD. Without CMD it prints the grant and leads until a signal.\n"
     "  coordctl elect workers 10.0.0.7:80 --name w7 -- ./serve.sh\n"},
    {"elect leader", ctl_elect_leader, 1, 1, BEHIND_NOTHING, "", "elect leader ELECTION",
     "print the value of who leads", "  coordctl elect leader workers\n"},
    {"elect list", ctl_elect_list, 1, 1, BEHIND_NOTHING, "", "elect list ELECTION",
     "the leader, and who would follow it, in order", "  coordctl elect list workers\n"},
    {"elect observe", ctl_elect_observe, 1, 1, BEHIND_NOTHING, "", "elect observe ELECTION",
     "print the leader, and each change of it, until a signal",
     "  coordctl elect observe workers -o jsonl\n"},
    {"elect resign", ctl_elect_resign, 1, 2, BEHIND_NOTHING, "",
     "elect resign ELECTION [NAME]", "withdraw the leader, or a candidate",
     "The next one leads at once.\n"
     "  coordctl elect resign workers w7\n"},
    {"elect hand-over", ctl_elect_hand_over, 2, 2, BEHIND_NOTHING, "session",
     "elect hand-over ELECTION NAME", "let this candidate lead, whatever the order",
     "  coordctl elect hand-over workers w8\n"},
    {"auth status", ctl_auth_status, 0, 0, BEHIND_NOTHING, "", "auth status",
     "whether users are asked who they are", "  coordctl auth status\n"},
    {"auth enable", ctl_auth_enable, 0, 0, BEHIND_NOTHING, "ttl", "auth enable [--ttl TIME]",
     "ask everybody who he is",
     "Takes a user with the role root. --ttl is how long tokens are good, 1h unless given.\n"
     "  coordctl auth enable --ttl 15m\n"},
    {"auth disable", ctl_auth_disable, 0, 0, BEHIND_NOTHING, "", "auth disable",
     "ask nobody any more", "  coordctl auth disable --user admin\n"},
    {"auth login", ctl_auth_login, 0, 0, BEHIND_NOTHING, "", "auth login",
     "print a token for --token-file",
     "  (umask 77; coordctl auth login --user web >~/.coord-token)\n"
     "  coordctl get /app/config --token-file ~/.coord-token\n"},
    {"auth whoami", ctl_auth_whoami, 0, 0, BEHIND_NOTHING, "", "auth whoami",
     "who the cluster takes us for", "  coordctl auth whoami --user web\n"},
    {"user add", ctl_user_add, 1, 2, BEHIND_NOTHING, "", "user add NAME [PASSWORD]",
     "make a user",
     "Without PASSWORD it is asked for; - or no terminal: the first line of standard input.\n"
     "\"\" is none at all, for users with certificates.\n"
     "  coordctl user add web\n"},
    {"user passwd", ctl_user_passwd, 1, 2, BEHIND_NOTHING, "", "user passwd NAME [PASSWORD]",
     "change a password; older tokens are void", "  coordctl user passwd web\n"},
    {"user delete", ctl_user_delete, 1, 1, BEHIND_NOTHING, "", "user delete NAME",
     "delete a user", "  coordctl user delete web\n"},
    {"user disable", ctl_user_disable, 1, 1, BEHIND_NOTHING, "", "user disable NAME",
     "let a user do nothing any more", "  coordctl user disable web\n"},
    {"user enable", ctl_user_enable, 1, 1, BEHIND_NOTHING, "", "user enable NAME",
     "the contrary", "  coordctl user enable web\n"},
    {"user grant-role", ctl_user_grant_role, 2, 2, BEHIND_NOTHING, "",
     "user grant-role NAME ROLE", "give a user a role",
     "The role root is always there, and may do everything.\n"
     "  coordctl user grant-role web app\n"},
    {"user revoke-role", ctl_user_revoke_role, 2, 2, BEHIND_NOTHING, "",
     "user revoke-role NAME ROLE", "take a role from a user",
     "  coordctl user revoke-role web app\n"},
    {"user limit", ctl_user_limit, 1, 1, BEHIND_NOTHING,
     "requests-per-second connections watches leases",
     "user limit NAME [--requests-per-second N] [--connections N] [...]",
     "bound what a user may take",
     "What is not given stays as it is; 0 takes a limit away. NAME may be anonymous, who have\n"
     "proved nothing, or *: all without limits of their own, but for those with the role root.\n"
     "  coordctl user limit web --requests-per-second 500 --leases 100\n"},
    {"user list", ctl_user_list, 0, 0, BEHIND_NOTHING, "", "user list", "list users",
     "  coordctl user list -o json\n"},
    {"user get", ctl_user_get, 1, 1, BEHIND_NOTHING, "", "user get NAME", "show a user",
     "  coordctl user get web\n"},
    {"role add", ctl_role_add, 1, 1, BEHIND_NOTHING, "", "role add ROLE",
     "make a role, without rights",
     "Callers who prove nothing have the role anonymous, if there is one.\n"
     "  coordctl role add app\n"},
    {"role delete", ctl_role_delete, 1, 1, BEHIND_NOTHING, "", "role delete ROLE",
     "delete a role, and take it from all who have it", "  coordctl role delete app\n"},
    {"role grant", ctl_role_grant, 3, 3, BEHIND_NOTHING, "deny",
     "role grant ROLE PATH RIGHTS [--deny]", "allow or deny rights on a path and below",
     "RIGHTS: all, or some of read,write,create,delete,admin. The longest path counts, and on\n"
     "the same path a denial.\n"
     "  coordctl role grant app /app read,write\n"
     "  coordctl role grant app /app/secret all --deny\n"},
    {"role revoke", ctl_role_revoke, 3, 3, BEHIND_NOTHING, "deny",
     "role revoke ROLE PATH RIGHTS [--deny]", "take such a grant back",
     "  coordctl role revoke app /app write\n"},
    {"role list", ctl_role_list, 0, 0, BEHIND_NOTHING, "", "role list",
     "list roles with their rights", "  coordctl role list\n"},
    {"role get", ctl_role_get, 1, 1, BEHIND_NOTHING, "", "role get ROLE", "show a role",
     "  coordctl role get app\n"},
    {"acl get", ctl_acl_get, 1, 1, BEHIND_NOTHING, "", "acl get PATH",
     "show a node's access control list",
     "A line for each entry, RIGHTS:SCHEME:ID, as acl set takes them.\n"
     "  coordctl acl get /app/config\n"},
    {"acl set", ctl_acl_set, 2, CTL_WORDS_MAX, BEHIND_NOTHING, "version",
     "acl set PATH RIGHTS:SCHEME:ID ... [--version N]", "replace it",
     "SCHEME and ID: user:NAME, world:anyone, ip:ADDRESS[/BITS], digest:NAME:HASH, x509:SUBJECT,\n"
     "auth: (whatever we have proved to be). --version is that of the list.\n"
     "  coordctl acl set /app/config read:world:anyone all:user:web\n"},
    {"context list", ctl_context_list, 0, 0, BEHIND_NOTHING, "", "context list",
     "list the contexts, the current one marked", "  coordctl context list -o yaml\n"},
    {"context use", ctl_context_use, 1, 1, BEHIND_NOTHING, "", "context use CONTEXT",
     "take its options from now on", "  coordctl context use prod\n"},
    {"context set", ctl_context_set, 1, 1, BEHIND_NOTHING, "", "context set CONTEXT [OPTIONS]",
     "keep options under a name",
     "Those that all commands take, but --context and --note. An empty value removes one. The\n"
     "first context becomes the current one. They are kept in $COORD_CONTEXTS, or in\n"
     "coord/contexts.json below $XDG_CONFIG_HOME (~/.config), for their owner only.\n"
     "  coordctl context set prod --endpoints 10.0.0.1:7400,10.0.0.2:7400 --cacert ca.pem\n"
     "  coordctl context set prod --cacert ''\n"},
    {"context remove", ctl_context_remove, 1, 1, BEHIND_NOTHING, "", "context remove CONTEXT",
     "forget it", "  coordctl context remove prod\n"},
    {"export", ctl_export, 1, 2, BEHIND_NOTHING, "acl force", "export PATH [FILE] [--acl]",
     "write a subtree as JSON lines",
     "Without FILE, or with -, to standard output. As it is at one revision, without nodes that\n"
     "live by a session, a lease or a recipe. Paths are relative, so that it can be imported\n"
     "anywhere. With --acl also who may do what.\n"
     "  coordctl export /app app.jsonl\n"
     "  coordctl export /app | ssh other 'coordctl import /app'\n"},
    {"import", ctl_import, 1, 2, BEHIND_NOTHING, "conflict dry-run session",
     "import PATH [FILE] [--conflict HOW] [--dry-run]", "create nodes from such lines",
     "Nothing is written unless all lines are understood and, without --conflict, none of the\n"
     "nodes is there. Some nodes at a time are written, in the order of the file.\n"
     "  coordctl import /copy app.jsonl --dry-run\n"
     "  coordctl import /app app.jsonl --conflict replace\n"},
    {"shell", ctl_shell, 0, 0, BEHIND_NOTHING, "", "shell",
     "type commands one after the other",
     "With history, and completion by Tab. cd PATH, pwd, and paths may be relative; cd - goes\n"
     "back. Options given here hold for all commands. What stands behind | goes to a program of\n"
     "this machine, and behind > into a file. exit or Ctrl-D ends it, Ctrl-C what is running.\n"
     "Lines may come from standard input, too; the exit code is that of the last one.\n"
     "  coordctl shell --endpoints 10.0.0.2:7400\n"
     "  printf 'cd /app\\nls\\n' | coordctl shell\n"},
    {"sync", ctl_sync, 0, 0, BEHIND_NOTHING, "", "sync",
     "wait until the member spoken to is up to date",
     "  coordctl sync --endpoints 10.0.0.2:7400\n"},
    {"status", ctl_status, 0, 0, BEHIND_NOTHING, "", "status",
     "show the members and how they fare",
     "The view of the first endpoint that answers; works without a quorum.\n"
     "  coordctl status -o json\n"},
    {"top", ctl_top, 0, 0, BEHIND_NOTHING, "interval once", "top [--interval TIME] [--once]",
     "watch the members at work",
     "Asks every member again and again: role, term, revision, how many entries it is behind,\n"
     "watches, connections, requests and bytes in a second, CPU, disk, memory. q or Ctrl-C ends\n"
     "it. With --once, for scripts: two rounds, of which the second is printed.\n"
     "  coordctl top\n"
     "  coordctl top --interval 5s -o jsonl >figures.jsonl\n"},
    {"member list", ctl_member_list, 0, 0, BEHIND_NOTHING, "", "member list",
     "list the members, their roles and addresses",
     "STATE is voter, joining (it will be promoted), standby (it stays one) or leaving.\n"
     "  coordctl member list\n"},
    {"member add", ctl_member_add, 1, 2, BEHIND_NOTHING, "learner", "member add NAME [PEERS]",
     "expect a new member, and say how it shall be added",
     "Then start it: coordd --name NAME --join ANY_MEMBER ... It asks to be added itself, also\n"
     "without this. PEERS is the HOST:PORT that it must come with.\n"
     "  coordctl member add n4 --learner\n"},
    {"member remove", ctl_member_remove, 1, 1, BEHIND_NOTHING, "", "member remove NAME",
     "remove a member, for ever",
     "Refused when those that stay would have no majority up. Its id never comes back.\n"
     "  coordctl member remove n3\n"},
    {"member replace", ctl_member_replace, 1, 2, BEHIND_NOTHING, "learner",
     "member replace NAME [PEERS]", "expect a new member in the place of one that is lost",
     "Then start it under the same name, with an empty data dir and --join. The old one goes\n"
     "when the new one is in sync.\n"
     "  coordctl member replace n3\n"},
    {"member grow", ctl_member_grow, 0, 2, BEHIND_NOTHING, "", "member grow [NAME NAME]",
     "make a single node a cluster of three",
     "With two nodes that were started with empty data dirs and --join; it waits for them. Named,\n"
     "or the only two. Writes pause for about a second; nothing is lost, revision and sessions\n"
     "stay.\n"
     "  coordctl member grow --timeout 1m\n"},
    {"member promote", ctl_member_promote, 1, 1, BEHIND_NOTHING, "", "member promote NAME",
     "make a standby a voter", "  coordctl member promote n4\n"},
    {"member transfer", ctl_member_transfer, 0, 1, BEHIND_NOTHING, "",
     "member transfer [NAME]", "hand leadership over, to NAME or whoever is best",
     "  coordctl member transfer n2\n"},
    {"upgrade status", ctl_upgrade_status, 0, 0, BEHIND_NOTHING, "", "upgrade status",
     "which version each member runs, and what is left to do",
     "  coordctl upgrade status\n"},
    {"upgrade finish", ctl_upgrade_finish, 0, 0, BEHIND_NOTHING, "", "upgrade finish",
     "use what is new, once all members run the newer version",
     "Until then each member can go back to its old version, afterwards none can.\n"
     "  coordctl upgrade finish\n"},
    {"doctor", ctl_doctor, 0, 0, BEHIND_NOTHING, "", "doctor",
     "look for what is wrong, or soon will be",
     "Asks every member. A line for each check: ok, warn or fail, the check, what was found. Ends\n"
     "with 1 if one failed.\n"
     "  coordctl doctor -o json\n"},
    {"bench write", ctl_bench, 0, 0, BEHIND_NOTHING,
     BENCH_OPTIONS "keys value-size path keep retry",
     "bench write [--connections N] [--in-flight N] [...]", "measure writes: nodes are set",
     "A load on the cluster that is spoken to. The nodes are made first, below a parent of their\n"
     "own, and removed in the end; --path names it, and what is there already stays there.\n"
     "Each of connections x in-flight requests is followed by the next when it is answered;\n"
     "the latency is from sending to answer. The CPU time is that of the members, per request.\n"
     "  coordctl bench write --connections 64 --in-flight 16\n"
     "  coordctl bench write -c 1 --in-flight 1 --duration 10s -o json\n"
     "  coordctl bench write --protocol zookeeper --value-size 1K\n"},
    {"bench read", ctl_bench, 0, 0, BEHIND_NOTHING, BENCH_OPTIONS "keys value-size path keep retry",
     "bench read [--consistency HOW] [...]", "measure reads of these nodes",
     "Over ZooKeeper's protocol reads are those of its sessions, whatever --consistency says.\n"
     "  coordctl bench read --connections 16 --in-flight 16\n"
     "  coordctl bench read --consistency local\n"},
    {"bench mixed", ctl_bench, 0, 0, BEHIND_NOTHING,
     BENCH_OPTIONS "keys value-size write-percent path keep retry",
     "bench mixed [--write-percent N] [...]", "measure reads with some writes",
     "  coordctl bench mixed --write-percent 25\n"},
    {"bench create", ctl_bench, 0, 0, BEHIND_NOTHING, BENCH_OPTIONS "value-size path keep retry",
     "bench create [...]", "measure creates and deletes",
     "Each node that is created is deleted next; both are counted.\n"
     "  coordctl bench create --connections 8\n"},
    {"bench fill", ctl_bench, 0, 0, BEHIND_NOTHING, BENCH_OPTIONS "keys value-size path",
     "bench fill --path PATH --keys N [...]", "create nodes and leave them there",
     "For what is to be seen with a large tree.\n"
     "  coordctl bench fill --path /ballast --keys 20000 --value-size 256\n"
     "  coordctl rm /ballast --recursive\n"},
    {"bench session", ctl_bench, 0, 0, BEHIND_NOTHING, BENCH_OPTIONS "ttl",
     "bench session [--ttl TIME] [...]", "measure opening and closing of sessions",
     "Each session that is opened is closed next; both are counted. Over ZooKeeper's protocol\n"
     "each is a new connection.\n"
     "  coordctl bench session --in-flight 8\n"},
    {"bench lock", ctl_bench, 0, 0, BEHIND_NOTHING, BENCH_OPTIONS "locks path ttl",
     "bench lock [--locks N] [...]", "measure how locks are acquired, released and handed over",
     "Each request under way is a client with a session of its own, that acquires a lock and\n"
     "releases it; pairs are counted, and the latency is that of acquiring. With fewer locks than\n"
     "clients these wait for each other: hand-over is from the request that releases to the\n"
     "answer of the next who waited.\n"
     "  coordctl bench lock --locks 1000\n"
     "  coordctl bench lock --locks 1 --connections 4 --in-flight 25\n"},
    {"bench elect", ctl_bench, 0, 0, BEHIND_NOTHING, BENCH_OPTIONS "elections path ttl",
     "bench elect [--elections N] [...]", "measure how leaders are elected, resign and follow",
     "As bench lock, with elections: each client campaigns, leads, and resigns; pairs are\n"
     "counted, and the latency is that of campaigning. With fewer elections than clients,\n"
     "hand-over is from the request that resigns to the answer of the next leader.\n"
     "  coordctl bench elect --elections 1000\n"
     "  coordctl bench elect --elections 1 --connections 4 --in-flight 25\n"},
    {"bench watch", ctl_bench, 0, 0, BEHIND_NOTHING,
     BENCH_OPTIONS "watches value-size path keep",
     "bench watch [--watches N] [...]", "measure how changes reach many watches",
     "All watch one node, over the connections in turn. It is set when every watch has seen the\n"
     "last change; events are counted, and their latency is from sending the write.\n"
     "  coordctl bench watch --connections 20 --watches 1000\n"},
};
const size_t command_count = sizeof commands / sizeof commands[0];

const struct command *command_find(const char *name, const char *verb)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < command_count; i++) {
        const char *whole = commands[i].name;
        bool is_it = verb == NULL ? strcmp(whole, name) == 0
                                  : strncmp(whole, name, size) == 0 && whole[size] == ' ' &&
                                        strcmp(whole + size + 1, verb) == 0;
        if (is_it) {
            return &commands[i];
        }
    }
    return NULL;
}

bool command_word_is(const struct command *c, size_t index, const char *what)
{
    const char *at = c->usage + strlen(c->name);
    for (size_t i = 0; *at != '\0'; i++) {
        at += strspn(at, " [");
        size_t size = strcspn(at, " ]");
        if (at[0] == '-' || size == 0) {
            return false;
        }
        if (i == index) {
            return strlen(what) == size && memcmp(at, what, size) == 0;
        }
        at += size;
        at += strspn(at, "]");
    }
    return false;
}

bool command_has_noun(const struct command *c, const char *noun)
{
    size_t size = strlen(noun);
    return strncmp(c->name, noun, size) == 0 && c->name[size] == ' ';
}

bool command_is_noun(const char *word)
{
    for (size_t i = 0; i < command_count; i++) {
        if (command_has_noun(&commands[i], word)) {
            return true;
        }
    }
    return false;
}

const char *command_similar(const char *noun, const char *word, char *text)
{
    const char *answer = foreign_answer(noun, word);
    if (answer != NULL) {
        snprintf(text, SIMILAR_BYTES_MAX + 32, "; here it is %s", answer);
        return text;
    }
    struct similar similar;
    similar_begin(&similar, word);
    for (size_t i = 0; i < command_count; i++) {
        char first[SIMILAR_BYTES_MAX];
        const char *name = commands[i].name;
        snprintf(first, sizeof first, "%.*s", (int)strcspn(name, " "), name);
        if (noun == NULL) {
            similar_offer(&similar, first);
        } else if (command_has_noun(&commands[i], noun)) {
            similar_offer(&similar, name + strlen(noun) + 1);
        }
    }
    return similar_text(&similar, text);
}

#define HELP_COLUMN 52 /* the texts begin behind it, on a line of their own if there is no room */

/* The commands by what they are for: a word of the list stands for all that begin with it. */
static const struct {
    const char *title;
    const char *const *words;
} groups[] = {
#define WORDS(...) (const char *const[]){__VA_ARGS__, NULL}
    {"Nodes", WORDS("create", "get", "set", "rm", "ls", "tree", "stat", "txn")},
    {"Changes and history", WORDS("watch", "history", "diff", "policy")},
    {"Sessions and leases", WORDS("session", "lease")},
    {"Locks, elections, counters", WORDS("lock", "elect", "barrier", "latch", "counter")},
    {"Configuration", WORDS("config")},
    {"Services", WORDS("svc")},
    {"Shards", WORDS("shard")},
    {"The cluster", WORDS("status", "top", "doctor", "sync", "member", "upgrade", "bench")},
    {"Users, rights, quotas", WORDS("auth", "user", "role", "acl", "quota")},
    {"Backup and transfer", WORDS("snapshot", "export", "import")},
    {"coordctl itself", WORDS("shell", "context")},
#undef WORDS
};

static void print_usage(const struct command *c)
{
    bool fits = strlen(c->usage) <= HELP_COLUMN;
    printf("  %-*s%s%*s%s\n", HELP_COLUMN, c->usage, fits ? " " : "\n",
           fits ? 0 : HELP_COLUMN + 3, "", c->help);
}

/* Of the command `word`, and of those whose noun it is. */
static void print_usages(const char *word)
{
    for (size_t i = 0; i < command_count; i++) {
        if (strcmp(commands[i].name, word) == 0 || command_has_noun(&commands[i], word)) {
            print_usage(&commands[i]);
        }
    }
}

void command_help_noun(const char *noun)
{
    printf("usage: coordctl %s VERB ...\n\nVerbs:\n", noun);
    print_usages(noun);
    printf("\nSee coordctl help %s VERB.\n", noun);
}

void command_help_all(void)
{
    puts("usage: coordctl [OPTIONS] COMMAND ...");
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        printf("\n%s:\n", groups[i].title);
        for (const char *const *word = groups[i].words; *word != NULL; word++) {
            print_usages(*word);
        }
    }
    puts("  help [COMMAND], COMMAND --help                       explain\n\n"
         "Options, before or behind the command:");
    options_help(NULL);
    puts("\n" DATA_HELP
         "\nExit codes: 0 ok, 1 general, 2 usage, 3 not found, 4 version conflict or guard,\n"
         "5 exists or held, 6 timeout, 7 no quorum or unreachable, 8 denied, 9 quota or limit,\n"
         "10 deadlock, 130 interrupted.");
}

void command_help(const struct command *c)
{
    printf("usage: coordctl %s\n\n%s\n", c->usage, c->help);
    if (c->details[0] != '\0') {
        printf("\n%s", c->details);
    }
    if (c->options[0] != '\0') {
        puts("\nOptions:");
        options_help(c->options);
    }
    puts("\nOptions of all commands:");
    options_help(NULL);
}
