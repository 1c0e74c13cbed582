/* Who may do what, and what coordctl knows of whom: users, roles, rights, contexts. */
#include "cmd/coordctl/commands/groups.h"

static const struct command commands[] = {
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
};
const struct command_group commands_access = {commands, sizeof commands / sizeof commands[0]};
