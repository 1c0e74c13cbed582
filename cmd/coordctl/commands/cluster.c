/* The cluster and its members, and all of its data: snapshots, export, import. */
#include "cmd/coordctl/commands/groups.h"

static const struct command commands[] = {
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
};
const struct command_group commands_cluster = {commands, sizeof commands / sizeof commands[0]};
