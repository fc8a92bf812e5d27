//! Which features of io_uring are used here: what the kernel has, what the self-test has seen to
//! work, less what was switched off.

use std::fmt;
use std::fs;
use std::io;
use std::str::FromStr;
use std::thread;

use fastpath_sys::errno;
use fastpath_sys::uring::{Features, RingOptions};

use super::selftest;

/// A feature with a switch of its own. All have a way without.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Feature {
    /// One accept request for all connections.
    MultishotAccept,
    /// One receive request for all bytes of a connection.
    MultishotRecv,
    /// The kernel takes receive buffers from a ring when bytes are there. Without: poll, then
    /// receive.
    BufferRing,
    /// No index array between us and the submission queue.
    NoSqarray,
    /// The ring is registered with its thread.
    RegisteredRing,
    /// Bulk bodies pass through pipes of the kernel. Without: through buffers.
    Splice,
}

impl Feature {
    /// All of them, as they stand in logs.
    pub const ALL: [Feature; 6] = [
        Feature::MultishotAccept,
        Feature::MultishotRecv,
        Feature::BufferRing,
        Feature::NoSqarray,
        Feature::RegisteredRing,
        Feature::Splice,
    ];

    /// Its name in switches and logs.
    pub fn name(self) -> &'static str {
        match self {
            Feature::MultishotAccept => "multishot-accept",
            Feature::MultishotRecv => "multishot-recv",
            Feature::BufferRing => "buffer-ring",
            Feature::NoSqarray => "no-sqarray",
            Feature::RegisteredRing => "registered-ring",
            Feature::Splice => "splice",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// How io_uring may be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UringOptions {
    off: u8,
    /// Receive buffers per worker that the kernel may hold.
    pub buffers: u16,
}

impl Default for UringOptions {
    fn default() -> Self {
        Self {
            off: 0,
            buffers: 64,
        }
    }
}

impl UringOptions {
    /// Switches a feature off.
    #[must_use]
    pub fn without(mut self, feature: Feature) -> Self {
        self.off |= feature.bit();
        // Multishot receives need somewhere to receive into.
        if feature == Feature::BufferRing {
            self.off |= Feature::MultishotRecv.bit();
        }
        self
    }

    fn allows(&self, feature: Feature) -> bool {
        self.off & feature.bit() == 0
    }

    fn ring(&self) -> RingOptions {
        RingOptions {
            buffers: if self.allows(Feature::BufferRing) {
                self.buffers
            } else {
                0
            },
            no_sqarray: self.allows(Feature::NoSqarray),
            registered_ring: self.allows(Feature::RegisteredRing),
            ..RingOptions::default()
        }
    }
}

/// A list of features to switch off: `multishot-recv,buffer-ring`; empty for none.
impl FromStr for UringOptions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = text
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        names
            .into_iter()
            .try_fold(Self::default(), |options, name| {
                let feature = Feature::ALL
                    .into_iter()
                    .find(|feature| feature.name() == name);
                feature
                    .map(|feature| options.without(feature))
                    .ok_or_else(|| {
                        let known: Vec<&str> =
                            Feature::ALL.iter().map(|feature| feature.name()).collect();
                        format!(
                            "unknown io_uring feature `{name}`: choose of {}",
                            known.join(", ")
                        )
                    })
            })
    }
}

/// What is used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caps {
    options: UringOptions,
    /// Failed the self-test or are not in this kernel.
    missing: u8,
    /// Of the missing, those that gave no answer in time: perhaps the machine was only too busy.
    unanswered: u8,
}

/// Why a feature is not used although it was not switched off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Loss {
    /// The kernel does not have it, or it answers wrongly.
    Missing,
    /// It did not answer in time, and not when it was tried again.
    Unanswered,
}

impl Caps {
    /// Sets a ring up and tries everything on it. An error says why io_uring cannot be used at all,
    /// and what to do about it.
    pub fn probe(options: &UringOptions) -> Result<Caps, String> {
        let caps = Caps {
            options: options.clone(),
            missing: 0,
            unanswered: 0,
        };
        // On a thread of its own: a ring that closes interrupts system calls of its thread for a
        // while.
        let tested = thread::scope(|scope| {
            let test = scope.spawn(|| selftest::run(caps));
            test.join()
                .unwrap_or_else(|_| Err(io::Error::other("the self-test panicked")))
        });
        tested.map_err(|error| explain(&error, disabled_setting().as_deref()))
    }

    /// True if the feature is used.
    #[inline]
    pub fn has(&self, feature: Feature) -> bool {
        (self.options.off | self.missing) & feature.bit() == 0
    }

    /// The features that are used.
    pub fn used(&self) -> Vec<&'static str> {
        names(!(self.options.off | self.missing))
    }

    /// The features that are not: `off: multishot-recv; missing: no-sqarray; no answer in the
    /// self-test: splice`. `None` if all are used.
    pub fn lacks(&self) -> Option<String> {
        let unanswered = self.unanswered & !self.options.off;
        let missing = self.missing & !self.options.off & !unanswered;
        let lists = [
            ("off", self.options.off),
            ("missing", missing),
            ("no answer in the self-test", unanswered),
        ];
        let lists = lists.into_iter().filter(|(_, bits)| *bits != 0);
        let lists: Vec<String> = lists
            .map(|(word, bits)| format!("{word}: {}", names(bits).join(" ")))
            .collect();
        (!lists.is_empty()).then(|| lists.join("; "))
    }

    /// How rings are to be made.
    pub fn ring_options(&self) -> RingOptions {
        let mut off = self.options.clone();
        off.off |= self.missing;
        off.ring()
    }

    /// Notes what the set-up of a ring did not get.
    pub(super) fn note(&mut self, features: &Features) {
        if !features.no_sqarray {
            self.lose(Feature::NoSqarray, Loss::Missing);
        }
        if !features.registered_ring {
            self.lose(Feature::RegisteredRing, Loss::Missing);
        }
    }

    pub(super) fn lose(&mut self, feature: Feature, loss: Loss) {
        let mut lost = feature.bit();
        if feature == Feature::BufferRing {
            lost |= Feature::MultishotRecv.bit();
        }
        self.missing |= lost;
        if loss == Loss::Unanswered {
            self.unanswered |= lost;
        }
    }
}

/// `multishot-accept buffer-ring; off: multishot-recv; missing: no-sqarray`.
impl fmt::Display for Caps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.used() {
            [] => f.write_str("no optional features")?,
            used => f.write_str(&used.join(" "))?,
        }
        match self.lacks() {
            Some(lacks) => write!(f, "; {lacks}"),
            None => Ok(()),
        }
    }
}

fn names(bits: u8) -> Vec<&'static str> {
    let named = Feature::ALL
        .into_iter()
        .filter(|feature| bits & feature.bit() != 0);
    named.map(Feature::name).collect()
}

fn disabled_setting() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?;
    Some(text.trim().to_owned())
}

/// Why there is no io_uring, for people: cause and remedy.
fn explain(error: &io::Error, disabled: Option<&str>) -> String {
    let number = error.raw_os_error().unwrap_or(0);
    match (number, disabled) {
        (errno::EPERM, Some("2")) => "io_uring is switched off on this machine: \
             kernel.io_uring_disabled is 2; sysctl kernel.io_uring_disabled=0 allows it"
            .to_owned(),
        (errno::EPERM, Some("1")) => "io_uring is kept for privileged processes: \
             kernel.io_uring_disabled is 1; add this user to the group in kernel.io_uring_group, \
             or set kernel.io_uring_disabled=0"
            .to_owned(),
        (errno::EPERM, _) => "io_uring is denied (EPERM), most likely by a seccomp profile of the \
             container runtime; allow io_uring_setup, io_uring_enter and io_uring_register there"
            .to_owned(),
        (errno::ENOSYS, _) => "there is no io_uring (ENOSYS): not in this kernel, or hidden by a \
             seccomp profile"
            .to_owned(),
        (errno::EINVAL, _) => "io_uring of this kernel is too old; it needs Linux 6.1".to_owned(),
        (errno::ENOMEM, _) => "no memory for an io_uring (ENOMEM): free some, or raise the limit \
             of locked memory (ulimit -l)"
            .to_owned(),
        _ => format!("io_uring does not work here: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_have_names() {
        let options: UringOptions = "buffer-ring, no-sqarray".parse().unwrap();
        assert!(
            !options.allows(Feature::MultishotRecv),
            "it needs the buffer ring"
        );
        assert!(options.allows(Feature::MultishotAccept));
        assert_eq!("".parse(), Ok(UringOptions::default()));
        let error = "multishot".parse::<UringOptions>().unwrap_err();
        assert!(
            error.starts_with("unknown io_uring feature `multishot`: choose of multishot-accept,")
        );
    }

    #[test]
    fn caps_say_what_is_used() {
        let options = UringOptions::default().without(Feature::MultishotRecv);
        let mut caps = Caps {
            options,
            missing: 0,
            unanswered: 0,
        };
        caps.lose(Feature::NoSqarray, Loss::Missing);
        caps.lose(Feature::Splice, Loss::Unanswered);
        let text = "multishot-accept buffer-ring registered-ring; off: multishot-recv; \
                    missing: no-sqarray; no answer in the self-test: splice";
        assert_eq!(caps.to_string(), text);
    }

    #[test]
    fn denials_name_the_knob() {
        let check = |number, disabled, expect: &str| {
            let text = explain(&io::Error::from_raw_os_error(number), disabled);
            assert!(text.contains(expect), "{text}");
        };
        check(errno::EPERM, Some("2"), "kernel.io_uring_disabled is 2");
        check(errno::EPERM, Some("1"), "kernel.io_uring_group");
        check(errno::EPERM, Some("0"), "seccomp");
        check(errno::EPERM, None, "seccomp");
        check(errno::ENOSYS, None, "ENOSYS");
        check(errno::EINVAL, Some("0"), "Linux 6.1");
    }
}
