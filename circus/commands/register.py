from __future__ import annotations

from circus.commands.base import OPERATOR, Command, Json, Property
from circus.exc import MessageError
from circus.kinds import HOOKS, nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.kernel.arbiter import Arbiter


class Register(Command):
    """Say that a plugin is there, and at which hooks it wants to be asked

    From now on the events ``gate`` of watchers that match name this plugin among their ``gatekeepers``, and it answers
    each with ``verdict``. It counts as there as long as it is subscribed to the topic ``@sync.`` followed by its token;
    when that connection is lost, the gates that wait for it have failed. To register again replaces what was said.

    ``gates`` in the reply are those that wait for it already. Events ``gate`` up to ``seq`` are to be left alone.
    """

    name = "register"
    properties = (
        Property("plugin", "text", "name of the plugin's watcher, such as plugin:flapping", required=True, cli=False),
        Property("sync", "text", "a random token, which the plugin sends with each verdict", required=True, cli=False),
        Property("hooks", "list", "hooks at which it is asked", cli=False),
        Property("watchers", "text", "of which watchers: a glob pattern, in any letter case", default="*", cli=False),
        Property("functions", "boolean", "it runs the functions that watchers name as hooks", default=False, cli=False),
    )
    role = OPERATOR
    replies = "seq, gates: the open gates that wait for this plugin"

    def execute(self, arbiter: Arbiter, properties: Json) -> Json:
        hooks = properties["hooks"] or []
        for hook in hooks:
            if hook not in HOOKS:
                raise MessageError(
                    f"there is no hook {hook!r}; accepted: {', '.join(HOOKS)}{nearest(str(hook), HOOKS)}"
                )
        if not arbiter.gates.is_connected(properties["sync"]):
            raise MessageError(
                "nobody is subscribed to @sync. followed by this token; subscribe, and register when the message "
                "that this topic then has was heard"
            )
        gates = arbiter.gates.register(
            properties["plugin"], properties["sync"], hooks, properties["watchers"], properties["functions"]
        )
        return {"seq": arbiter.journal.seq, "gates": gates}


COMMAND = Register()
