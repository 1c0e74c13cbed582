/* Services, and the shard maps of those that divide their data. */
#include "cmd/coordctl/commands/groups.h"

#define POLICY_HELP                                                              \
    "  replicas    of each shard; zone_max of them in one zone; tags of their nodes\n"  \
    "  promote     who leads after a loss: fresh, idle or priority; unclean=yes: whoever\n" \
    "              is back first, if all were lost\n"                                  \
    "  automatic   no, repair, fill or balance by itself; nodes are lost after lost_after;\n" \
    "              a balance begins at imbalance=0.2 and ends at target=0.1 of what\n"  \
    "              balance says: replicas, bytes, rows or qps\n"                       \
    "  concurrent  moves at a time, with so much bandwidth in all, for at most timeout each,\n" \
    "              begun within hours=HH:MM-HH:MM (UTC)\n"

static const struct command commands[] = {
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
};
const struct command_group commands_services = {commands, sizeof commands / sizeof commands[0]};
