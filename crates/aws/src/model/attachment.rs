//! Attachments: what others may have attached to a resource, and what its deletion therefore ends.

/// An attachment of a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attachment {
    /// Inline policy of a role, by name. Deleted with the role.
    InlinePolicy(String),
    /// Managed policy of a role, by ARN. Detached before the role is deleted.
    ManagedPolicy(String),
    /// Instance profile with a role, by name. The role is removed from the profile.
    InstanceProfile(String),
}

impl Attachment {
    /// Returns the name or ARN.
    pub fn id(&self) -> &str {
        let (Self::InlinePolicy(id) | Self::ManagedPolicy(id) | Self::InstanceProfile(id)) = self;
        id
    }

    /// Returns the end of the attachment, as in `managed policy ARN is detached and stays`.
    pub fn end(&self) -> String {
        match self {
            Self::InlinePolicy(name) => format!("inline policy {name} is deleted"),
            Self::ManagedPolicy(arn) => format!("managed policy {arn} is detached and stays"),
            Self::InstanceProfile(name) => {
                format!("the role is removed from instance profile {name}, which stays")
            }
        }
    }
}
