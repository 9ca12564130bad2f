//! The English templates.

/// Name and template of every message.
pub(super) const TEMPLATES: &[(&str, &str)] = &[
    (
        "analyst_started",
        "{{ key }}: the analyst has started.\n\n\
         It writes {{ files | join(', ') }} in docs/work-items/{{ key }}/; that takes up to {{ minutes }} minutes. \
         Then you will be asked here to approve the analysis, or to answer questions.",
    ),
    (
        "approval_wanted",
        "{{ key }}: the analysis is ready, see docs/work-items/{{ key }}/ on the task's branch.\n\n\
         Please read it and comment here: write :approved: to go on, or :rejected: with the reason to have it \
         reworked. The word has to begin the line.",
    ),
    (
        "questions",
        "The analyst has questions:\n\n{{ text | markdown }}\n\n\
         Please answer with a comment here; the analyst then goes on.",
    ),
    (
        "no_artifacts",
        "The analyst ended without documents and without questions. Its log: {{ log }}\n\n\
         Add what may be missing to the description, then write :retry: to start it again.",
    ),
    (
        "review_changes",
        "The reviewer asks for changes; the developer works on them now (attempt {{ attempt }} of {{ cap }}).\
         {% if reason %}\n\n{{ reason | markdown }}{% endif %}",
    ),
    ("review_verdict", "The reviewer's verdict: {{ verdict }}.{% if reason %}\n\n{{ reason | markdown }}{% endif %}"),
    (
        "tests_failed",
        "The tester's report is not a pass; the developer works on it now.{% if reason %}\n\n{{ reason | markdown }}{% endif %}",
    ),
    (
        "tests_red",
        "The project's tests are red; the developer works on them now (attempt {{ attempt }} of {{ cap }}). \
         The end of their output:\n\n{{ tail | fenced }}",
    ),
    (
        "nothing_changed",
        "The {{ role }} ended, but changed nothing that counts: a developer has to change files outside \
         docs/work-items/, an analyst or an architect at least a document. The {{ role }} works again now (attempt \
         {{ attempt }} of {{ cap }}).{% if found %} The end of the check:\n\n{{ found | fenced }}{% endif %}\n\n\
         If nothing is to be changed, write :approved: to go on once it has ended, or :cancel: to give the task up.",
    ),
    (
        "judged_anew",
        "The branch has changed since the check {{ gate }} was passed, so that does not count any more.\
         {% if by %} Changed by:\n{% for one in by %}\n- {{ one | line }}{% endfor %}{% else %} The branch was \
         rewritten.{% endif %}\n\n\
         The task goes back to {{ to }}, and everything from there on is judged anew. The {{ role }} looks at the change now \
         (attempt {{ attempt }} of {{ cap }}).",
    ),
    (
        "branch_conflict",
        "Commits were pushed to the branch (up to {{ theirs }}) that conflict with those of the {{ role }} (up to {{ ours }}) in: \
         {{ files | join(', ') }}. The {{ role }} joins both sides now (attempt {{ attempt }} of {{ cap }}); nothing of either \
         is lost.",
    ),
    (
        "branch_rewritten",
        "The branch was rewritten at the forge (to {{ theirs }}) while the {{ role }} worked. It stays as it was put there. The \
         commits of the {{ role }} (up to {{ ours }}) are kept beside it, as told in a comment of its own; the {{ role }} works \
         again now, on the branch as it is (attempt {{ attempt }} of {{ cap }}), and takes over what still fits.\n\n\
         If nothing of it is wanted, write :approved: once it has ended, or :cancel: to give the task up.",
    ),
    (
        "push_refused",
        "The task waits: the forge does not take its commits on {{ branch }}. {{ why }}.\n\n{{ words | fenced }}\n\n\
         Nothing is lost: the commits are kept on the worker's host. The task goes on by itself soon after that is put right; \
         write :cancel: to give it up.",
    ),
    (
        "branch_gone",
        "The task waits: its branch {{ branch }} is no longer at the forge; {% if renamed %}somebody renamed it to {{ renamed }}\
         {% else %}somebody deleted or renamed it{% endif %}. The commits are kept on the worker's host.\n\n\
         Give the branch its name back and the task goes on by itself. Or write :retry: to have it made again, or \
         :cancel: to give the task up.",
    ),
    (
        "pull_closed",
        "The pull request #{{ number }} of this task was closed without a merge. The work goes on and will wait for it later: \
         please open it again, or write :cancel: to give the task up.",
    ),
    (
        "pull_merged_early",
        "The pull request #{{ number }} was merged by {{ by }} while the task is still at {{ stage }}. What has not been judged \
         yet is in the base now; what is committed from here on is not. If that was meant, write :cancel: to end the task \
         here; else revert the merge, or let the task go on to have the rest judged.",
    ),
    (
        "pull_retargeted",
        "The pull request #{{ number }} of this task goes to {{ base }} now, and the task's base is {{ wanted }}: it will not be \
         merged there. Please let it go to {{ wanted }} again, or write :cancel: to give the task up.",
    ),
    (
        "forge_shut",
        "The work waits for the forge: {{ what }}. {{ why }}.\n\n{{ words | fenced }}\n\n\
         Nothing is lost, and it goes on by itself within a minute after that is put right.",
    ),
    (
        "reviewer_unasked",
        "{{ who }} could not be asked to review the pull request #{{ number }}:\n\n{{ words | fenced }}\n\n\
         Please give that account access to the repository at the forge, or have an operator mend the project's `reviewers`. \
         Nothing else waits for it: the others are asked, and {{ who }} is asked again when the next commits are to be reviewed.",
    ),
    (
        "repository_renamed",
        "The repository {{ repo }} is called {{ name }} at the forge now. Work goes on under the new name; please have an operator \
         write it into the configuration.",
    ),
    (
        "pull_given_up",
        "The work item {{ key }} was cancelled or deleted in Plane: nobody works on this pull \
         request any more. The branch is kept for a while.",
    ),
    (
        "conflict",
        "The architect found a conflict in the requirements; the analyst works on it now.\n\n{{ excerpt | markdown }}\n\n\
         A comment from you that settles it helps.",
    ),
    (
        "role_cap_reached",
        "The {{ role }} has had {{ cap }} runs without success, so the task is blocked.\
         {% if reason %}\n\nLast reason: {{ reason }}{% endif %}\n\n\
         Write :retry: to let it try again, or :cancel: to give the task up.",
    ),
    (
        "stage_advanced",
        "{{ key }}: {{ from }} is finished, now in {{ to }}.{% if role %} The {{ role }} has started.{% endif %}",
    ),
    (
        "approved",
        "Approved, thank you. The task is now in {{ to }}.{% if role %} The {{ role }} has started.{% endif %}",
    ),
    (
        "rejected_back",
        "Rejected; the work in {{ to }} is done again.{% if reason %} Reason:\n\n{{ reason | markdown }}{% endif %}",
    ),
    ("answer_taken", "Thank you for the answer. The analyst goes on with it."),
    ("retrying", "The {{ role }} starts again in {{ stage }}; the attempts are counted anew."),
    (
        "reopened",
        "Opened again: the {{ role }} goes on in {{ stage }}; the attempts are counted anew. Write :cancel: to end the task.",
    ),
    ("paused", "Paused: no agent works on this task. Write :resume: to let it go on."),
    (
        "paused_at_work",
        "Paused: the agent at work comes to its end and its work is kept, then no other starts. Write :resume: to let the \
         task go on, or :cancel: to stop the agent at once and end the task.",
    ),
    ("resumed", "Resumed: the task goes on where it stopped."),
    (
        "cancelled",
        "Cancelled: the agent is stopped and nothing more is queued. The branch and its files are kept for a while.",
    ),
    ("refused", "Sorry, {{ command }} does nothing here: {{ why }}"),
    ("ended", "Sorry, {{ command }} does nothing here any more: the task {{ state }}."),
    (
        "answer_refused",
        "Thank you, but only the project's approvers answer an agent's questions, so the task still waits. \
         One of them can take over your words in a comment of their own.",
    ),
    (
        "words_changed",
        "Sorry, {{ command }} counts for nobody here: somebody else has changed the words of this comment. \
         Whoever means it writes it in a new comment.",
    ),
    (
        "not_done",
        "The card was moved to {{ to | line }}, but the task is not done: at {{ stage }} it {{ state }}. The card is left \
         where it was put until the task moves.\n\nWrite :cancel: to end the task as it is.",
    ),
    (
        "gate_failed",
        "The check {{ gate }} does not pass: {{ reason }}\n\n\
         Push a fix to the branch, or write :retry: to let the agent of this stage try again.",
    ),
    (
        "waiting",
        "The task waits at the check {{ gate }}. \
         {% if gate == 'analysis_approved' %}Please write :approved: or :rejected: with the reason.\
         {% elif gate == 'review_approved' %}Please review the pull request.\
         {% elif gate == 'pr_merged' %}Please merge the pull request.\
         {% else %}It goes on by itself when that passes.{% endif %}",
    ),
    (
        "checks_failed",
        "CI is red; the developer works on it now (attempt {{ attempt }} of {{ cap }}).\n\n\
         {% for check in list %}- {{ check }}\n{% endfor %}",
    ),
    (
        "checks_wait",
        "The task waits for CI: {{ wait }}{% if names %} ({{ names | join(', ') }}){% endif %}.\n\n\
         Start it at the forge, or write :approved: to go on without it. The task goes on by itself when CI is green.",
    ),
    ("pull_not_open", "The task waits at the check {{ gate }}: its pull request is {{ pull }}."),
    (
        "commands_elsewhere",
        "Sorry, {{ command }} does nothing on a pull request. Please write it on the work item \
         {% if url %}{{ key }}: {{ url }}{% else %}{{ key }} in Plane{% endif %}. \
         Here a review counts: approve, or request changes.",
    ),
    (
        "blocked",
        "The task is blocked: {{ reason }}\n\n\
         When the cause is gone, write :retry: to go on, or :cancel: to give the task up.",
    ),
    (
        "needs_a_person",
        "The task is blocked: {{ fault }}\n\n{{ words | fenced }}\n\n\
         When that is mended, write :retry: to go on (:approved: only looks at the check again), or :cancel: to give the task up.",
    ),
    (
        "agent_failed",
        "The {{ role }} has failed for good, so the task is blocked:\n\n{{ error | fenced }}\n\n\
         When the cause is gone, write :retry: to start the {{ role }} again, or :cancel: to give the task up.",
    ),
    (
        "protected_paths",
        "The task is blocked: its branch changes files that only people may change: {{ files | join(', ') }}. Nothing \
         of it was published.\n\n\
         Push that change yourself, or write what to do instead and :retry: to go on, or :cancel: to give the task up.",
    ),
    (
        "agent_refused",
        "The task is blocked: the model refused to work on it as the {{ role }}. Its words: {{ why | line }}\n\n\
         The same text would be refused again. Change the description of the work item so that it says what is meant, \
         then write :retry: to go on, or :cancel: to give the task up.",
    ),
    (
        "lfs_no_program",
        "The task is blocked: {{ objects }} LFS object(s) of its branch cannot be uploaded, because git-lfs is not installed \
         where the worker runs. The commits and the files are kept there, nothing of them was published.\n\n\
         Install git-lfs there, then write :retry: to go on.",
    ),
    (
        "lfs_no_content",
        "The task is blocked: its branch has LFS pointers whose content is neither here nor at the forge: \
         {{ oids | join(', ') }}. Nothing of it was published.\n\n\
         Upload these objects (git lfs push --object-id) and write :retry: to go on, or write what to do instead and \
         :retry:, or :cancel: to give the task up.",
    ),
    (
        "submodule_missing",
        "The task is blocked: the submodule {{ path }} ({{ url }}) cannot be had: {{ why }}. Neither an agent nor the tests are started without it.\n\n\
         When the cause is gone, write :retry: to go on, or :cancel: to give the task up.",
    ),
    (
        "submodule_unpublished",
        "The task is blocked: its branch makes the submodule {{ path }} point to {{ commit }}, and {{ url }} has no such \
         commit. Nothing of it was published.\n\n\
         Push that commit to the submodule's repository and write :retry: to go on, or write what to do instead and \
         :retry:, or :cancel: to give the task up.",
    ),
    (
        "job_failed",
        "Job {{ id }} ({{ kind }}) has failed for good:\n\n{{ error | fenced }}\n\n\
         Have a look with orchctl and retry it there.",
    ),
    (
        "budget_stop",
        "The task is blocked because a budget is used up: {{ which }}, {{ spent }} of {{ limit }}.\n\n\
         Raise {{ setting }} in [budget] of the configuration, or in the project's own budget, and restart the \
         worker{% if 'day' in setting %}, or wait for the next day (UTC){% endif %}; then write :retry: to go on.",
    ),
    (
        "budget_used_up",
        "Nothing was started, because a budget is used up: {{ which }}, {{ spent }} of {{ limit }}. The task stays as \
         it is.\n\n\
         Raise {{ setting }} in [budget] of the configuration, or in the project's own budget, and restart the \
         worker{% if 'day' in setting %}, or wait for the next day (UTC){% endif %}; then \
         {% if command %}write {{ command }} again{% else %}answer again{% endif %}.",
    ),
    (
        "loop_stop",
        "The task is blocked: {{ runs }} agents ran in {{ minutes }} minutes without a new commit or a change of \
         stage.\n\nPlease look at what they did, then write :retry: to go on, or :cancel: to give the task up.",
    ),
    (
        "breaker_opened",
        "The model provider keeps failing: {{ why }}\n\n\
         No agent starts for {{ pause_s }} seconds, then a single one tries. Nothing to do unless this is repeated.",
    ),
    ("breaker_closed", "The model provider works again; agents start as usual."),
    (
        "usage_limit",
        "The account's usage limit is reached. Agents wait until {{ until }} and then go on by themselves.",
    ),
    (
        "installation_fault",
        "Agents cannot run on this installation: {{ why }}\n\n\
         They are paused and no task is charged. Check credentials, credit, model names and the claude binary; \
         orchctl doctor helps.",
    ),
    (
        "webhooks_silent",
        "No webhook of {{ source }} has come since {{ since }}, although things happen there; they are found by asking, \
         which is slower.\n\nLook whether its webhook is still active and reaches this server; \
         orchctl doctor helps.",
    ),
    (
        "outside_away",
        "{{ what }} gives no answers since {{ since }}: {{ why | line }}\n\n\
         {{ jobs }} job(s) wait for it. They cost nothing meanwhile, and go on by themselves within seconds of its next answer.",
    ),
    (
        "story_unread",
        "{{ key }}: the {{ role }} has started without the comments of this work item: Plane could not be read for \
         {{ minutes }} min ({{ why | line }}). If something in them matters now, write :retry: once the {{ role }} has ended.",
    ),
    (
        "still_waits",
        "{{ key }} waits since {{ since }}: {{ why | line }}\n\n\
         Nobody has to answer here: it costs nothing meanwhile, and goes on by itself when that has passed. :cancel: gives the task up.",
    ),
    ("outside_back", "{{ what }} answers again; it was away since {{ since }}. What waited for it goes on now."),
    ("task_done", "{{ key }} is done: {{ title | line }}\n\nThe work is on the branch {{ branch }}."),
    (
        "task_done_unmerged",
        "{{ key }} is done: {{ title | line }}\n\nThe work is on the branch {{ branch }}. Orch does not merge it: in this project \
         that is left to people, and to what the deployer did.",
    ),
    (
        "merge_waits",
        "The merge waits: {{ why }}\n\n\
         It is tried again by itself when that changes, and every few minutes. :retry: tries it now.",
    ),
    (
        "base_moved",
        "The branch {{ base }} has moved. {% if files %}The task's branch conflicts with it in {{ files | join(', ') }}; the \
         developer joins the two now{% else %}It was merged into the task's branch; the developer looks now whether the work \
         still holds{% endif %} (attempt {{ attempt }} of {{ cap }}). Tests and reviews follow as before.",
    ),
    (
        "pull_body",
        "{{ title | line }}\n\n\
         Work item: {{ key }}{% if url %} {{ url | line }}{% endif %}\n\
         Branch: {{ branch }}\n\
         Documents: docs/work-items/{{ key }}/\n\n\
         Opened by Orch.",
    ),
    (
        "leftovers",
        "{{ key }}: an agent left things beside its work. Nothing of it was thrown away:\n\n\
         {% for item in list %}- {{ item }}\n{% endfor %}\n\
         What is kept under a ref is in the repository {{ repo }} on the worker's host. There, git show REF shows it, \
         and git push URL 'REF^0:refs/heads/NAME' publishes it as a branch. \
         orchctl tasks show {{ key }} lists it all.",
    ),
    (
        "database_files_lost",
        "Somebody took away the -wal or -shm file of the database while it was open. The worker ends, and so does the intake; \
         what they had is in the database. Where a service manager starts them again nothing is to be done; else end both \
         and start them again.",
    ),
    (
        "denied_tools",
        "The agent was refused tools: {{ list | join(', ') }}\n\n\
         If it needs them, allow them for its role in the configuration.",
    ),
];
