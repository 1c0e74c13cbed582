/* Locks, counters, latches, barriers and elections. */
#include "cmd/coordctl/commands/groups.h"

static const struct command commands[] = {
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
};
const struct command_group commands_recipes = {commands, sizeof commands / sizeof commands[0]};
