//! Faults that only a person can mend, as people read them: what is wrong, and what to do.

use super::Locale;
use super::shown::Shown;
use crate::domain::fault::Fault;
use minijinja::Value;

impl Shown for Fault {
    fn shown(&self, locale: Locale) -> Value {
        Value::from(match locale {
            Locale::En => in_english(*self),
            Locale::Ru => in_russian(*self),
        })
    }
    fn sample() -> Value {
        Value::from("text")
    }
}

/// Also for logs and lists.
pub const fn in_english(fault: Fault) -> &'static str {
    match fault {
        Fault::NoRight => {
            "the worker may not read or write a file or folder. Give it to the worker's user (`chown -R`), or give that user the \
             rights (`chmod`)."
        }
        Fault::InTheWay => {
            "something else is in the place of a file or folder that is needed. Move it away on the worker's host."
        }
        Fault::ForeignOwner => {
            "a repository belongs to another user than the worker, so that git refuses it. Give it to the worker's user \
             (`chown -R`)."
        }
        Fault::BranchInTheWay => {
            "a branch of another name is in the way: git cannot have a branch `a` and a branch `a/b`. Rename or delete that branch \
             at the forge."
        }
        Fault::BranchTaken => "its branch is the branch of another work item. End that one first, or cancel this one.",
        Fault::Unrelated => {
            "the branch at the forge and the work here have no commit in common. Push the branch anew from the project's history, \
             or delete it at the forge."
        }
        Fault::NoBase => {
            "the branch that the work begins on is not at the forge. Push it, or set the project's `default_branch`."
        }
        Fault::BadName => {
            "a name cannot be used for a branch, a repository or a folder. Change it where it comes from."
        }
        Fault::TooLarge => {
            "something in the repository is too large to be worked with. Make it smaller, or take it out."
        }
        Fault::NoAccount => "the user that the agents are to run as is not there. Make it, or set `agent.user`.",
        Fault::NoStart => "the agent cannot be started as it is set up. Mend the setting that is named.",
        Fault::NoTests => "the project has no test command. Set its `test_command`.",
        Fault::NoProgram => {
            "a program that the project's test command needs is not on the worker's host, or not on its PATH. Install it, or mend \
             the project's `test_command`."
        }
        Fault::NotExecutable => {
            "what the project's test command names cannot be executed. Make it executable (`chmod +x`, committed), or mend the \
             project's `test_command`."
        }
    }
}

const fn in_russian(fault: Fault) -> &'static str {
    match fault {
        Fault::NoRight => {
            "воркеру нельзя читать или писать файл или папку. Отдайте их пользователю воркера (`chown -R`) или дайте ему права \
             (`chmod`)."
        }
        Fault::InTheWay => "на месте нужного файла или папки лежит что-то другое. Уберите это на хосте воркера.",
        Fault::ForeignOwner => {
            "репозиторий принадлежит не пользователю воркера, поэтому git от него отказывается. Отдайте его этому пользователю \
             (`chown -R`)."
        }
        Fault::BranchInTheWay => {
            "мешает ветка с другим именем: в git не может быть ветки `a` и ветки `a/b`. Переименуйте или удалите её на сервере."
        }
        Fault::BranchTaken => "её ветка занята другой задачей. Сначала завершите ту или откажитесь от этой.",
        Fault::Unrelated => {
            "у ветки на сервере и у работы здесь нет общих коммитов. Отправьте ветку заново от истории проекта или удалите её на \
             сервере."
        }
        Fault::NoBase => {
            "на сервере нет ветки, с которой начинается работа. Отправьте её или укажите `default_branch` проекта."
        }
        Fault::BadName => "имя не годится для ветки, репозитория или папки. Измените его там, откуда оно взято.",
        Fault::TooLarge => "что-то в репозитории слишком велико. Уменьшите или уберите это.",
        Fault::NoAccount => {
            "нет пользователя, от имени которого работают агенты. Создайте его или задайте `agent.user`."
        }
        Fault::NoStart => "агента нельзя запустить с такими настройками. Исправьте названную настройку.",
        Fault::NoTests => "у проекта нет команды тестов. Задайте `test_command`.",
        Fault::NoProgram => {
            "программы, нужной команде тестов, нет на хосте воркера или в его PATH. Установите её или исправьте `test_command` \
             проекта."
        }
        Fault::NotExecutable => {
            "то, что названо в команде тестов, нельзя выполнить. Сделайте файл исполняемым (`chmod +x`, с коммитом) или исправьте \
             `test_command` проекта."
        }
    }
}
