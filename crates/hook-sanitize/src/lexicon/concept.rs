//! What a word can mean to a rule. A word may mean several things; languages share the meanings.

/// A set of meanings.
pub(crate) type Mask = u128;

macro_rules! concepts {
    ($($(#[doc = $about:literal])* $name:ident,)*) => {
        concepts!(@bits 0u32; $($(#[doc = $about])* $name,)*);
        /// Names as the lists of words write them.
        pub(crate) const NAMES: &[(&str, Mask)] = &[$((stringify!($name), $name),)*];
    };
    (@bits $bit:expr; ) => {};
    (@bits $bit:expr; $(#[doc = $about:literal])* $name:ident, $($rest:tt)*) => {
        $(#[doc = $about])*
        pub(crate) const $name: Mask = 1 << ($bit);
        concepts!(@bits ($bit) + 1; $($rest)*);
    };
}

concepts! {
    /// To leave something out of account: ignore, disregard, forget.
    IGNORE,
    /// To take the force of something away; everyday words of developers: override, bypass, disable.
    WEAKEN,
    /// To do as one is told.
    FOLLOW,
    /// Not, before what it denies.
    NEG,
    /// Not, behind what it denies.
    POSTNEG,
    /// To show or tell.
    REVEAL,
    /// To bring something elsewhere.
    SEND,
    /// To run or call.
    RUN,
    /// To play somebody.
    ACT,
    /// "You are now", "you are no longer".
    BECOME,
    YOU,
    YOUR,
    /// Instructions, prompt, directives.
    INSTR,
    /// Rules, guidelines, restrictions: words of other trades too.
    RULES,
    /// What came before, or was there first.
    PREV,
    ALL,
    EVERYTHING,
    NEW,
    /// From now on, instead.
    NOW,
    /// An assistant, a model, the name of one.
    AGENT,
    /// A role that has no scruples.
    PERSONA,
    /// Without limits.
    UNBOUND,
    /// The system prompt.
    SYSP,
    /// Passwords, keys, tokens.
    SECRET,
    URGENT,
    /// Somebody with a say.
    AUTH,
    /// Do not tell the user.
    CONCEAL,
    /// A tool, a shell, a function.
    TOOL,
    /// The conversation, its context, private data.
    CONVO,
    /// To delete, to merge, to pay.
    DESTROY,
    MUST,
    /// Filters, ethics, policies of models.
    SAFETY,
    RESPOND,
    /// Word for word.
    VERBATIM,
    /// Found in, contained in.
    INSIDE,
    /// Words of those who write about attacks.
    ABOUT,
    /// What stands before a verb that nobody is told to do: to, can, would.
    DESCR,
    /// The verb is not in the form of a command.
    INFL,
    /// What people ask each other to ignore: a comment, a warning.
    HARMLESS,
    /// Who speaks in a transcript.
    ROLE,
    /// Words that turn to a machine that reads: "if you are an AI".
    ADDRESS,
    ENCODING,
    DECODE,
    /// "I am your developer".
    CLAIM,
    THREAT,
    /// What people become: a member, logged in.
    MEMBER,
    ARTICLE,
    /// Give, provide, need.
    REQUEST,
    /// An address on the web.
    URL,
    /// A word of ours in rot13.
    ROT,
    /// A word of ours backwards.
    BACKWARDS,
    /// A command line's network client.
    FETCH,
    /// A mode of a machine.
    MODE,
    /// To append, to encode into: how data gets into an address.
    APPEND,
    /// To tell what was to stay untold.
    LEAK,
    /// What is, what are.
    WHAT,
    /// Without a word; developers say it of programs too.
    QUIETLY,
    /// Words that only a machine is meant by: "if you are an AI", "note to AI".
    COND,
    /// Secrets of the machine that an agent runs on.
    KEYS,
    /// Places that data is carried off to.
    SUSPECT,
    /// What was said in a conversation with an agent.
    CHAT,
    /// What can only be a machine: AI, language model, chatbot.
    MACHINE,
    /// What is often a machine: bot, model, helper, reviewer.
    BOT,
    /// What somebody is doing with a text who is being addressed: reading, processing, summarising.
    READING,
    /// What announces to whom something is said: note, notice, attention.
    NOTICE,
    /// What an agent with rights does that somebody has to answer for: approve, merge, pay, grant, delete.
    DEED,
    /// To put words into an answer: say, mention, add, include.
    SAY,
    /// Only, nothing but.
    ONLY,
    /// Whatever else is said.
    REGARDLESS,
    /// Without approval, no need to check.
    UNCHECKED,
    /// Claims that somebody is known or has agreed: verified, already approved.
    VERIFIED,
    /// Rights: admin, owner, write access.
    PRIV,
    MONEY,
    /// Data of other people, or of a company.
    RECORDS,
    /// What one is there for: task, job, goal.
    TASK,
    /// What an agent writes: answer, summary, review.
    ANSWER,
    /// Where a reader is to leave something: here, in your reply, as a comment.
    SINK,
    /// What an agent was given: "you were given", "your developer wrote".
    GIVEN,
    /// What an agent does at any request: label, deploy, move.
    ORDER,
    /// What somebody who is careful asks for: review, approval, proof.
    CHECK,
    /// To let somebody know.
    HUSH,
    /// Who could be let know, or could have agreed.
    WHO,
    /// What stands before what has happened.
    ALREADY,
    /// Approved, verified, agreed.
    ACCEPTED,
    /// Gave, told, wrote: how an agent got what it has.
    GAVE,
    /// Not to let somebody know; made of other meanings.
    UNTOLD,
    /// To read or open, before what is read is told.
    READ,
    /// Thanks, please, cheers: what stands before a name at the end.
    THANKS,
    /// How a text says that it ends.
    END,
    /// What takes the force of instructions away: no longer apply, was a test.
    VOID,
}
