[ "$(sh "$1/greet.sh")" = "Hello" ]
