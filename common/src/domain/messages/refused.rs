//! How people read why the forge takes nothing of ours.

use super::Locale;
use super::shown::Shown;
use crate::domain::refusal::Refusal;
use minijinja::Value;

/// Why the forge takes nothing, and who can end it.
impl Shown for Refusal {
    fn shown(&self, locale: Locale) -> Value {
        Value::from(match (locale, self) {
            (Locale::En, Refusal::Hook) => {
                "A hook of the repository refuses them: change what it objects to, or the hook"
            }
            (Locale::En, Refusal::BranchRule) => {
                "A branch rule keeps the account out: let the rule allow it to push there, or exempt the task's branches"
            }
            (Locale::En, Refusal::NameTaken) => {
                "Another branch stands where this one has to be, with a part of its name: rename or delete that one"
            }
            (Locale::En, Refusal::Archived) => "The repository is archived: take it out of the archive",
            (Locale::En, Refusal::NotAllowed) => {
                "The account may not write to the repository: give it the right to write again"
            }
            (Locale::En, Refusal::Moved) => {
                "The repository or its owner was renamed: give it its name back, or have an operator write the new one into \
                 the configuration"
            }
            (Locale::En, Refusal::Mirror) => "The repository is a mirror: make it one of its own, or name another",
            (Locale::En, Refusal::NotThere) => {
                "The repository is gone, or the account may not see it: make the account a collaborator again"
            }
            (Locale::En, Refusal::PullsOff) => {
                "Pull requests are switched off in the repository: switch them on in its settings"
            }
            (Locale::En, Refusal::Suspended) => {
                "The account may not sign in: an administrator of the forge has to allow it again"
            }
            (Locale::En, Refusal::PasswordToChange) => {
                "The account must change its password first: sign in once with it in a browser"
            }
            (Locale::En, Refusal::TokenUnknown) => {
                "The forge does not know the token: an operator has to make a new one and set gitea.token"
            }
            (Locale::Ru, Refusal::Mirror) => "Репозиторий является зеркалом: сделайте его обычным или укажите другой",
            (Locale::Ru, Refusal::NotThere) => {
                "Репозитория нет, или учётная запись его не видит: верните её в число соавторов"
            }
            (Locale::Ru, Refusal::PullsOff) => {
                "В репозитории отключены запросы на слияние: включите их в его настройках"
            }
            (Locale::Ru, Refusal::Suspended) => {
                "Учётной записи запрещён вход: администратор сервера должен снова разрешить его"
            }
            (Locale::Ru, Refusal::PasswordToChange) => {
                "Учётная запись должна сменить пароль: войдите с ней один раз в браузере"
            }
            (Locale::Ru, Refusal::TokenUnknown) => {
                "Сервер не знает токен: оператор должен создать новый и задать gitea.token"
            }
            (Locale::Ru, Refusal::Hook) => {
                "Их отклоняет хук репозитория: измените то, на что он указывает, или сам хук"
            }
            (Locale::Ru, Refusal::BranchRule) => {
                "Правило ветки не пускает учётную запись: разрешите ей отправку или исключите ветки задач из правила"
            }
            (Locale::Ru, Refusal::NameTaken) => {
                "На месте этой ветки стоит другая, с частью её имени: переименуйте или удалите ту ветку"
            }
            (Locale::Ru, Refusal::Archived) => "Репозиторий в архиве: верните его из архива",
            (Locale::Ru, Refusal::NotAllowed) => {
                "Учётная запись не может писать в репозиторий: верните ей право записи"
            }
            (Locale::Ru, Refusal::Moved) => {
                "Репозиторий или его владелец переименован: верните имя, или пусть оператор запишет новое в настройки"
            }
        })
    }
    fn sample() -> Value {
        Value::from("text")
    }
}
