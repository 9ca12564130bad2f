//! What an agent left, as people read it.

use super::Locale;
use super::shown::{Shown, tame};
use crate::domain::leftover::{LeftKind, Leftover};
use minijinja::Value;

/// Things that one comment names; `orchctl tasks show` has them all.
const NAMED: usize = 30;

impl Shown for Vec<Leftover> {
    fn shown(&self, locale: Locale) -> Value {
        let more = self.len().saturating_sub(NAMED);
        let named = self.iter().take(NAMED).map(|left| line(left, locale));
        named.chain((more > 0).then(|| format!("+{more}"))).collect()
    }
    fn sample() -> Value {
        Value::from_iter(["text"])
    }
}

fn line(left: &Leftover, locale: Locale) -> String {
    let name = tame(&left.name);
    let what = match locale {
        Locale::En => in_english(left.kind, &name),
        Locale::Ru => in_russian(left.kind, &name),
    };
    match (&left.kept, locale) {
        (Some(kept), Locale::En) => format!("{what} Kept as {kept}."),
        (Some(kept), Locale::Ru) => format!("{what} Сохранено как {kept}."),
        (None, Locale::En | Locale::Ru) => what,
    }
}

/// One sentence on one thing; also what the next agent reads.
pub fn in_english(kind: LeftKind, name: &str) -> String {
    match kind {
        LeftKind::Files => format!("Uncommitted files of a run that did not end well ({name})."),
        LeftKind::Commits => format!("Commits of a run that did not end well, not published ({name})."),
        LeftKind::Index => format!("A version of files that was staged and is not what lies in the folder ({name})."),
        LeftKind::Stash => format!("A stash: {name}."),
        LeftKind::Ref => format!("{name}, with commits that the task's branch does not have."),
        LeftKind::Head => format!("Commits that were made beside the task's branch ({name})."),
        LeftKind::Taken => format!("Commits that were made beside the task's branch ({name}): they are on it now."),
        LeftKind::Rewritten => {
            format!(
                "Commits of the task that are not on its branch any more, because the branch was rewritten ({name})."
            )
        }
        LeftKind::Repository => {
            format!(
                "A repository that was begun again in the folder ({name}): the files are on the branch, this is its history."
            )
        }
        LeftKind::Link => {
            format!(
                "The folder's own {name} was gone or replaced and was made again: the files in the folder count as the work."
            )
        }
        LeftKind::Nested => {
            format!("The folder {name} is a repository of its own: its files are on the branch, its .git is left out.")
        }
        LeftKind::History => format!("The history of the repository in the folder {name}."),
        LeftKind::Worktree => format!("A worktree that the agent made: {name}."),
        LeftKind::Submodule => format!("The submodule {name} is not as the branch says; its pointer was not moved."),
        LeftKind::Pointer => {
            format!(
                "{name} points to a commit of another repository, and the files are not there: nobody can fetch it."
            )
        }
        LeftKind::Unread => format!("{name} cannot be read, or is no file: it is not on the branch."),
        LeftKind::Aside => format!("What could be kept in no repository was moved to {name}."),
        LeftKind::Unaccounted => {
            format!("The folder could not be looked through ({name}); it is left as it is and is looked through again.")
        }
    }
}

fn in_russian(kind: LeftKind, name: &str) -> String {
    match kind {
        LeftKind::Files => format!("Незафиксированные файлы запуска, который закончился неудачно ({name})."),
        LeftKind::Commits => format!("Неопубликованные коммиты запуска, который закончился неудачно ({name})."),
        LeftKind::Index => format!("Версия файлов, которая была в индексе и отличается от папки ({name})."),
        LeftKind::Stash => format!("Отложенное (stash): {name}."),
        LeftKind::Ref => format!("{name}: коммиты, которых нет в ветке задачи."),
        LeftKind::Head => format!("Коммиты, сделанные в стороне от ветки задачи ({name})."),
        LeftKind::Taken => format!("Коммиты, сделанные в стороне от ветки задачи ({name}): теперь они в ней."),
        LeftKind::Rewritten => {
            format!("Коммиты задачи, которых больше нет в её ветке, потому что ветка была переписана ({name}).")
        }
        LeftKind::Repository => {
            format!("Репозиторий, начатый в папке заново ({name}): файлы в ветке, здесь его история.")
        }
        LeftKind::Link => {
            format!("{name} папки исчез или был заменён и создан снова: работой считаются файлы в папке.")
        }
        LeftKind::Nested => format!("Папка {name} - отдельный репозиторий: его файлы в ветке, его .git не взят."),
        LeftKind::History => format!("История репозитория в папке {name}."),
        LeftKind::Worktree => format!("Рабочая копия, созданная агентом: {name}."),
        LeftKind::Submodule => format!("Подмодуль {name} не такой, как в ветке; его указатель не сдвинут."),
        LeftKind::Pointer => {
            format!("{name} указывает на коммит другого репозитория, а файлов нет: получить его никто не сможет.")
        }
        LeftKind::Unread => format!("{name} не читается или не является файлом: в ветке его нет."),
        LeftKind::Aside => format!("То, что не удалось сохранить в репозитории, перенесено в {name}."),
        LeftKind::Unaccounted => {
            format!("Папку не удалось просмотреть ({name}); она оставлена как есть и будет просмотрена снова.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_reads_well_in_both_languages_and_names_what_and_where() {
        for (kind, locale) in
            LeftKind::ALL.iter().flat_map(|kind| Locale::ALL.iter().map(move |locale| (*kind, *locale)))
        {
            let kept = Some("refs/orch/preserved/ET-1/1".to_owned());
            let text = line(&Leftover { kept, ..Leftover::new(kind, "Sentinel") }, locale);
            assert!(text.contains("Sentinel") && text.ends_with("refs/orch/preserved/ET-1/1."), "{kind}: {text}");
            assert_eq!(text.contains(|c: char| matches!(c, 'а'..='я')), locale == Locale::Ru, "{text}");
            assert!(text.chars().count() < 300 && !text.contains(['{', '}', '\n']), "{text}");
        }
    }

    #[test]
    fn a_long_list_is_cut_and_says_by_how_much() {
        let many = vec![Leftover::new(LeftKind::Stash, "x"); NAMED + 7];
        let shown: Vec<String> = many.shown(Locale::En).try_iter().unwrap().map(|v| v.to_string()).collect();
        assert_eq!((shown.len(), shown.last().map(String::as_str)), (NAMED + 1, Some("+7")));
    }
}
