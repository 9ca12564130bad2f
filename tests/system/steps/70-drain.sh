# shellcheck shell=bash
step "Drain a worker, stop it, let another take over"
# Its one place is free, whichever steps were played before.
let_go SYS-001
webhook create 2 > /dev/null
await 60 "an analyst is at work" is_at_work SYS-002
check "the worker is told to drain" orchctl drain orch-one:1
check "orchctl status says so" in_shell "cd /var/lib/orch && setpriv --reuid=orch --regid=orch --clear-groups \
    orchctl --config $config status | grep orch-one:1 | grep -q draining"
let_go SYS-002
check "drain --wait returns when its agent has ended" orchctl drain orch-one:1 --wait
await 60 "what followed was done all the same" task_is SYS-002 waiting_approval
webhook create 3 > /dev/null
sleep 5
refuse "a drained worker starts no agent" is_at_work SYS-003
check "it stops" inside systemctl stop orch-worker@1.service
check "another worker is started" inside systemctl enable --now orch-worker@2.service
await 60 "and takes the waiting task" is_at_work SYS-003
check "the first one comes back and drains no more" inside systemctl start orch-worker@1.service
await 30 "both run" in_shell "cd /var/lib/orch && test \$(setpriv --reuid=orch --regid=orch --clear-groups \
    orchctl --config $config status | grep -c 'orch-one:[12].*running') = 2"
