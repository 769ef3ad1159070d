# shellcheck shell=bash
# Kafka's jars and the Java that runs them.

readonly pom="$definitions/kafka/pom.xml"

kafka_version() {
  sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$pom"
}

# Where the jars of this very pom are. Another pom has another folder, so that what is there is never stale.
jars() {
  printf '%s/.jars/kafka-%s-%s' "$folder" "$(kafka_version)" "$(cksum <"$pom" | cut -d ' ' -f 1)"
}

# Finds Java, and refuses one that Kafka does not run on.
artifacts_check() {
  java="${JAVA_HOME:+$JAVA_HOME/bin/}java"
  local remedy="a Java runtime, 17 or later" release
  need "$java" "$remedy"
  release="$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')"
  ((${release:-0} >= 17)) || fail "Kafka needs Java 17, and \`$java\` is ${release:-of an unknown version}" \
    "install $remedy, or let JAVA_HOME name it"
}

# Has Maven copy the jars, once. The folder appears when it is complete.
artifacts_install() {
  local jars log
  jars="$(jars)" log="$folder/.jars/maven.log"
  [[ ! -d "$jars" ]] || return 0
  need mvn "Apache Maven"
  mkdir -p "$folder/.jars"
  (
    flock 9
    [[ ! -d "$jars" ]] || exit 0
    say "copying Apache Kafka $(kafka_version) from Maven"
    rm -rf "$jars.part"
    mvn --batch-mode --no-transfer-progress --file "$pom" dependency:copy-dependencies \
      -DincludeScope=runtime -DoutputDirectory="$jars.part" >"$log" 2>&1 ||
      fail "Maven could not get Apache Kafka: $(grep -m 3 '^\[ERROR\]' "$log" || tail -n 3 "$log")" "all it said is in $log"
    mv "$jars.part" "$jars"
  ) 9>"$folder/.jars/.lock"
}
